#!/bin/sh
# build.sh [--version X.Y.Z] [--kine] [PROGRAM...]: builds the programs of a control plane (all four if none is named) from Go
# modules, for machines that reach no release archives. About ten minutes on two cores with an empty Go build cache.
#
# The default version is the one that go.mod pins. For another one, --version makes a module from the go.mod of that release;
# its hashes are checked by Go's checksum database alone. --kine adds a folder in which kine with SQLite stands in for etcd.
#
# The programs go to the folder <cache>/control-plane/k8s/<version>-<os>-<arch>, the layout of setup-envtest and kube-api-test,
# or .../control-plane/kine/..., where <cache> is $LEADER_LABELER_CACHE or else ~/.cache/leader-labeler. What is there already is
# left alone; a program appears only when it is complete.
set -eu

fail() { echo "build.sh: $1" >&2; exit "${2:-1}"; }

wanted='' kine='' mode=-mod=readonly part=''
while [ $# -gt 0 ]; do
    case $1 in
        --version)
            [ $# -gt 1 ] || fail "--version: cannot tell which: there is no value; give one like 1.34.4" 2
            wanted=v${2#v}
            shift 2
            ;;
        --kine) kine=yes; shift ;;
        -*) fail "$1: cannot be understood: there is --version X.Y.Z and --kine" 2 ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || set -- etcd kube-apiserver kubectl kube-controller-manager
command -v go >/dev/null || fail "Go: cannot be found on the PATH; install Go >= 1.26, which builds the control plane for tests"
here=$(cd "$(dirname "$0")" && pwd)
cache=${LEADER_LABELER_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/leader-labeler}/control-plane
platform=$(go env GOOS)-$(go env GOARCH)
cd "$here"

# Makes a module for another version than the pinned one: Kubernetes as released, with the staging modules of the same release.
other_module() {
    module=$cache/modules/$wanted
    mkdir -p "$module"
    cd "$module"
    mode=-mod=mod
    [ ! -e complete ] || return 0
    printf 'module control-plane\n\ngo 1.24.0\n' >go.mod
    released=$(go mod download -json "k8s.io/kubernetes@$wanted" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    [ -n "$released" ] || fail "--version ${wanted#v}: cannot be built: no release of that name is to be had as a Go module"
    grep '^godebug default=' "$released" >>go.mod || true
    go mod edit -require "k8s.io/kubernetes@$wanted"
    sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/.*|\1|p' "$released" | while read -r staging; do
        go mod edit -replace "$staging=$staging@v0.${wanted#v1.}"
    done
    touch complete
}

# build FOLDER PROGRAM PACKAGE [FLAG...]: builds one program in the module of the working directory, unless it is there.
build() {
    folder=$1 program=$2 package=$3
    shift 3
    if [ -x "$folder/$program" ]; then return; fi
    mkdir -p "$folder"
    part=$folder/.part.$$
    echo "control plane: building $program ($package) ..."
    start=$(date +%s)
    go build $mode -trimpath "$@" -o "$part" "$package"
    mv "$part" "$folder/$program"
    echo "control plane: built $program in $(($(date +%s) - start)) s"
}

# A folder with Kubernetes' programs in which etcd is a script that runs kine. k3s builds kine with cgo, as Go does where it
# finds a C compiler; elsewhere kine takes an SQLite in pure Go.
with_kine() {
    folder=$cache/kine/${version#v}-$platform
    cd "$here/kine"
    mode=-mod=readonly
    build "$folder" kine github.com/k3s-io/kine -ldflags "-s -w"
    for program in kube-apiserver kubectl kube-controller-manager; do
        ln -sf "$out/$program" "$folder/$program"
    done
    cp "$here/kine/etcd.sh" "$folder/.part.$$"
    chmod +x "$folder/.part.$$"
    mv "$folder/.part.$$" "$folder/etcd"
    echo "control plane: $folder has kine in place of etcd"
}

trap '[ -z "$part" ] || rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM

[ -z "$wanted" ] || [ "$wanted" = "$(go list -m -f '{{.Version}}' k8s.io/kubernetes)" ] || other_module
version=$(go list $mode -m -f '{{.Version}}' k8s.io/kubernetes) # v1.37.2
minor=${version#v1.}
stamp=k8s.io/component-base/version
flags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}"
out=$cache/k8s/${version#v}-$platform

export CGO_ENABLED=0
for program in "$@"; do
    case $program in
        etcd) build "$out" etcd go.etcd.io/etcd/server/v3 -ldflags "$flags" ;;
        *) build "$out" "$program" "k8s.io/kubernetes/cmd/$program" -ldflags "$flags" ;;
    esac
done
echo "control plane: $out has $*"
unset CGO_ENABLED
[ -z "$kine" ] || with_kine
