#!/bin/sh
# Makes the passwords that compose.yaml reads, each in a file of its own under secrets/; what is there is kept.
# The folder is its owner's alone; the files can be read by all, since inside containers their readers have other ids.
set -eu
cd "$(dirname "$0")/.."
umask 022
mkdir -p secrets
chmod 700 secrets

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}
for name in web_password grafana_password; do
    [ -s "secrets/$name" ] || random >"secrets/$name"
done
if [ ! -s secrets/redis_url ] || [ ! -s secrets/valkey_acl ]; then
    password=$(random)
    printf 'redis://askpix:%s@valkey:6379/0' "$password" >secrets/redis_url
    # Whoever gives no password may ask whether the server lives, no more. askpix uses its own keys, and of the commands
    # that could harm the whole server only those by which `askpix doctor` looks at it, and `askpix backup` holds its
    # writes for a moment.
    {
        echo 'user default on nopass nocommands +ping'
        rights='+@all -@admin -@dangerous +info +config|get +client|pause +client|unpause'
        echo "user askpix on >$password ~{askpix}* &{askpix}* $rights"
    } >secrets/valkey_acl
fi
