#!/bin/sh
# Brings the real servers that the tests drive: Debian's own Prometheus and VictoriaMetrics, and a
# newer Prometheus, unpacked beside it and never installed. Prints what it could not bring; the tests decide what that means.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)/.servers
say() { echo "servers: $*"; }

if ! command -v apt-get >/dev/null; then
    say "no apt-get here; install Prometheus yourself to run the tests that need it"
    exit 0
fi

for program in prometheus victoria-metrics; do
    command -v "$program" >/dev/null && continue
    if [ "$(id -u)" = 0 ]; then
        say "installing $program"
        apt-get update -qq >/dev/null 2>&1
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$program" \
            >/dev/null 2>&1 || say "$program could not be installed"
    else
        say "not root: run 'apt-get install $program' to run the tests that need it"
    fi
done

if [ ! -x "$here/newer/usr/bin/prometheus" ]; then
    # The mirror that this machine uses already, asked for the unstable distribution.
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' \
        2>/dev/null | awk '$2 == "Debian" { print $1; exit }')
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ -n "$mirror" ] && [ -r "$keyring" ]; then
        say "unpacking a newer prometheus"
        mkdir -p "$here/lists/partial" "$here/cache/archives/partial" && cd "$here" || exit 0
        echo "deb [signed-by=$keyring] $mirror sid main" >sid.list
        options="-o Dir::Etc::sourcelist=$here/sid.list -o Dir::Etc::sourceparts=-
            -o Dir::State::lists=$here/lists -o Dir::Cache=$here/cache -o APT::Sandbox::User=root"
        # shellcheck disable=SC2086 # The options are words.
        if apt-get $options update -qq >/dev/null 2>&1 &&
            apt-get $options download -qq prometheus/sid >/dev/null 2>&1; then
            dpkg -x prometheus_*.deb newer
        else
            say "a newer prometheus could not be had"
        fi
        rm -rf lists cache sid.list prometheus_*.deb
    else
        say "not a Debian mirror: no newer prometheus"
    fi
fi
exit 0
