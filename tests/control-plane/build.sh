#!/bin/sh
# build.sh [PROGRAM...]: builds the programs of a control plane (all four if none is named) from the Go modules that go.mod
# pins, for machines that reach no release archives. About ten minutes on two cores with an empty Go build cache.
#
# They go to the folder <cache>/control-plane/k8s/<version>-<os>-<arch>, the layout of setup-envtest and kube-api-test,
# where <cache> is $LEADER_LABELER_CACHE or else ~/.cache/leader-labeler. What is there already is left alone; a program
# appears only when it is complete.
set -eu

[ $# -gt 0 ] || set -- etcd kube-apiserver kubectl kube-controller-manager
command -v go >/dev/null || { echo "build.sh: Go >= 1.26 is not on the PATH; it builds the control plane for tests" >&2; exit 1; }
cd "$(dirname "$0")"

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes) # v1.37.2
minor=${version#v1.}
stamp=k8s.io/component-base/version
flags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}"

cache=${LEADER_LABELER_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/leader-labeler}
out=$cache/control-plane/k8s/${version#v}-$(go env GOOS)-$(go env GOARCH)
mkdir -p "$out"
part=$out/.part.$$
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM

for program in "$@"; do
    if [ -x "$out/$program" ]; then continue; fi
    case $program in
        etcd) package=go.etcd.io/etcd/server/v3 ;;
        *) package=k8s.io/kubernetes/cmd/$program ;;
    esac
    echo "control plane: building $program ($package) ..."
    start=$(date +%s)
    CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$part" "$package"
    mv "$part" "$out/$program"
    echo "control plane: built $program in $(($(date +%s) - start)) s"
done
echo "control plane: $out has $*"
