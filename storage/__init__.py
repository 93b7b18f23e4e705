"""What both halves of askpix share: messages, keys, the inbox, the queue, replies, history and photos."""
