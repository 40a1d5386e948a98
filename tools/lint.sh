#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What a reviewer should not have to say: formatting, layers, SPDX lines, shell, Python, spelling.
# Prints each finding; exit 1 if there is one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
status=0

found() {
    echo "lint: $*" >&2
    status=1
}

mapfile -t c_files < <(git ls-files '*.c' '*.h')
mapfile -t sh_files < <(git ls-files '*.sh' .ci/run)
mapfile -t py_files < <(git ls-files '*.py')

clang-format --dry-run --Werror "${c_files[@]}" || found "formatting: run 'make format'"

for f in "${c_files[@]}" "${sh_files[@]}" "${py_files[@]}" Makefile; do
    head -3 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause' || found "$f: no SPDX line"
done

# A file includes only from its own layer and those below: base < model < kernel < conn < edge. The
# command line tool stands beside the daemon and uses all but conn.
allowed() {
    case $1 in
    base) echo base thruway ;;
    model) echo base model thruway ;;
    kernel) echo base model kernel thruway ;;
    conn) echo base model kernel conn thruway ;;
    edge) echo base model kernel conn edge thruway ;;
    cli) echo base model kernel cli thruway ;;
    esac
}
for layer in base model kernel conn edge cli; do
    ok=$(allowed "$layer")
    while IFS=: read -r file include; do
        target=${include#\"}
        target=${target%%/*}
        [[ " $ok " == *" $target "* ]] || found "$file includes $include: a layer above $layer"
    done < <(grep -HoE '^#include "[^"]+"' user/"$layer"/*.[ch] | sed -E 's/#include //' | grep '/.*"' |
        grep -E ':"[a-z]+/')
done

# Programs only in entry files; one owner of the skeleton.
grep -ln 'SEC("[^.l]' bpf/*.bpf.h && found "SEC() programs belong to bpf/*.bpf.c"
grep -l 'thruway.skel.h' user -r | grep -v '^user/kernel/datapath.c$' && found "only datapath.c includes the skeleton"
grep -n 'bpf_printk' bpf -r && found "bpf_printk in the product"

shellcheck "${sh_files[@]}" || found "shellcheck"
[ ${#py_files[@]} -eq 0 ] || /usr/bin/python3 -m py_compile "${py_files[@]}" || found "Python does not compile"
codespell -q 3 -S 'LICENSE*,tests/corpus,build*' -L 'ba,fo,hel,nd,te,upto' README.md CONTRIBUTING.md docs bpf user include tools ||
    found "spelling"
exit $status
