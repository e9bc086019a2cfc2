#!/usr/bin/env bash
# The C++ tests of products by tiles on a processor that has them, emulated: Bochs boots Debian's kernel, with the tests as its only
# programs; then a kernel that is told to leave AMX alone, and one that saves no wide registers. Some minutes to build, then as many
# to run. Works on Debian, as apt is set up there; BOCHS=/path/to/bochs and KERNEL=/path/to/vmlinuz take what exists instead.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/build/amx
scripts/need.sh xorriso=xorriso cpio=cpio
mkdir -p "$work/packages" "$work/debian"

unpack() {
  local name
  for name in "$@"; do
    rm -f "$work/packages/$name"_*.deb
    (cd "$work/packages" && apt-get download -qq "$name" 2>/dev/null)
    dpkg -x "$work/packages/$name"_*.deb "$work/debian"
  done
}

# ---- The emulator. Bochs 3.0 is the first to know AMX; what it got wrong is mended, each by Intel's manual.

mend() {
  # Signed bytes are signed.
  sed -i 's/Bit32s(\([xy]byte\[[0-3]\]\))/Bit32s(Bit8s(\1))/g' cpu/avx/amx.cc
  # vcvtne2ps2bf16 reads its first source from the first element on.
  sed -i 's/fp32_to_bfloat16(op1.vmm32u(n))/fp32_to_bfloat16(op1.vmm32u(n - DWORD_ELEMENTS(len)))/' cpu/avx/avx512_bf16.cc
  # XSAVE: bytes and rows of a tile each in its place, all of its rows, and in use when it is.
  sed -i -e 's/\(vmm16u(8+n) *= .*\]\.\)rows;/\1bytes_per_row;/' -e 's/\(vmmubyte(48+n) = .*\]\.\)bytes_per_row;/\1rows;/' \
    -e 's/row < BX_TILE_REGISTERS/row < BX_TILE_MAX_ROWS/' -e 's/tile_use_tracker == 0/tile_use_tracker != 0/' cpu/xsave.cc
  # Code that was written over is decoded anew: AMX's bit of the mode sent it to another line of the cache of instructions.
  sed -i 's/ ^ fetchModeMask;/ ^ (fetchModeMask \& 127);/' cpu/icache.h
  # XFD, by which Linux learns who uses tiles: CPUID, two registers, an exception.
  sed -i -e '/EAX\[4\] - support for XFD/{n;s/= 0;/= 1 << 4;/}' \
    -e 's/^ *leaf->ecx = (cpu->ia32_xss_suppmask & .*/&\n      if (subfunction == 18) leaf->ecx |= 4;/' cpu/cpuid.cc
  sed -i 's/^  Bit64u ia32_xss;/& Bit64u ia32_xfd, ia32_xfd_error;/' cpu/cpu.h
  sed -i 's/^\( *\)BX_CPU_THIS_PTR msr.ia32_xss = 0;/&\n\1BX_CPU_THIS_PTR msr.ia32_xfd = BX_CPU_THIS_PTR msr.ia32_xfd_error = 0;/' cpu/init.cc
  local register
  for register in ia32_xfd ia32_xfd_error; do
    sed -i -e "s/^ *if (! msr_desc\[index\]) return handle_unknown_rdmsr.*/if (index == BX_MSR_${register^^}) { *msr = BX_CPU_THIS_PTR msr.$register; return true; }\n&/" \
      -e "s/^ *if (! msr_desc\[index\]) return handle_unknown_wrmsr.*/if (index == BX_MSR_${register^^}) { BX_CPU_THIS_PTR msr.$register = val_64; return true; }\n&/" cpu/msr.cc
  done
  sed -i '/BX_CPU_C::\(LDTILECFG\|TILEZERO_Tnnn\|check_tile\)(/{n;s/{/{ if (BX_CPU_THIS_PTR msr.ia32_xfd >> 18 \& 1) { BX_CPU_THIS_PTR msr.ia32_xfd_error = 1 << 18; exception(BX_NM_EXCEPTION, 0); }/}' cpu/avx/amx.cc
}

if [ -z "${BOCHS:-}" ]; then
  BOCHS=$work/bochs/bochs
  if [ ! -x "$BOCHS" ]; then
    rm -rf "$work/bochs" && mkdir "$work/bochs"
    for archive in $(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u); do
      /usr/lib/apt/apt-helper download-file "${archive%/}/pool/main/b/bochs/bochs_3.0+dfsg.orig.tar.xz" "$work/bochs.tar.xz" \
        SHA256:78f6c73d4a6472d5130a87ab9dc306d02c7c71ed8e25b3a8ef642e2a7acd282b >/dev/null 2>&1 && break
    done
    tar xf "$work/bochs.tar.xz" -C "$work/bochs" --strip-components=1
    echo "building Bochs"
    (cd "$work/bochs" && mend &&
      ./configure --enable-x86-64 --enable-avx --enable-evex --enable-amx --enable-fpu --enable-pci --enable-all-optimizations \
        --disable-docbook --disable-plugins --with-nogui CXXFLAGS=-O2 CFLAGS=-O2 &&
      make -j "$(nproc)") >"$work/bochs.log" 2>&1 || { tail -n 20 "$work/bochs.log"; exit 1; }
  fi
fi

# ---- The disk: the tests, linked statically, and a shell to run them

unpack bochsbios vgabios busybox-static isolinux syslinux-common
if [ -z "${KERNEL:-}" ]; then
  unpack "$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)"
  KERNEL=$(ls "$work"/debian/boot/vmlinuz-* | tail -n 1)
fi

tests="test_training_by_tiles test_tiles test_int8 test_gemm"
bin=$PWD/.venv/bin
"$bin/cmake" -S native -B "$work/tests" -G Ninja -DCMAKE_MAKE_PROGRAM="$bin/ninja" -DCMAKE_BUILD_TYPE=Release -DDENSEKIT_TESTS=ON \
  -DCMAKE_EXE_LINKER_FLAGS=-static >/dev/null
# shellcheck disable=SC2086
"$bin/cmake" --build "$work/tests" --target $tests

disk() {  # parameters of the kernel, tests: what boots and runs them
  rm -rf "$work/root" "$work/disk"
  mkdir -p "$work"/root/{bin,proc,sys,dev,tmp} "$work/disk/isolinux"
  cp "$work/debian/bin/busybox" "$work/root/bin" && ln -s busybox "$work/root/bin/sh"
  for name in $2; do strip -o "$work/root/bin/$name" "$work/tests/tests/$name"; done
  cat >"$work/root/init" <<END
#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
export DENSEKIT_TEST_THIN=20
for name in $2; do \$name && echo "passed \$name" || echo "failed \$name"; done
test_training_by_tiles hash plainly
sleep 1
poweroff -f
END
  chmod +x "$work/root/init"
  (cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/disk/initrd"
  cp "$KERNEL" "$work/disk/linux"
  cp "$work/debian/usr/lib/ISOLINUX/isolinux.bin" "$work/debian/usr/lib/syslinux/modules/bios/ldlinux.c32" "$work/disk/isolinux"
  # 580: short copies by rep movsb, which the kernel takes for granted though the emulator has no fast strings. With
  # five levels of pages, or with identifiers of address spaces, Bochs does not come back from system management.
  cat >"$work/disk/isolinux/isolinux.cfg" <<END
default linux
label linux
kernel /linux
initrd /initrd
append console=ttyS0 loglevel=3 mitigations=off no5lvl nopcid clearcpuid=580$1
END
  xorriso -as mkisofs -quiet -o "$work/disk.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
    -boot-info-table "$work/disk" 2>/dev/null
}

boot() {  # parameters of the kernel, tests, what must be said of the tiles
  echo "=== kernel parameters: ${1# }"
  disk "$1" "$2"
  cat >"$work/bochsrc" <<END
display_library: nogui
cpu: model=sapphire_rapids, count=1, ips=80000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=512, host=512
romimage: file=$work/debian/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=$work/debian/usr/share/vgabios/vgabios.stdvga.bin
ata0-master: type=cdrom, path=$work/disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/console
clock: sync=none
log: $work/log
END
  rm -f "$work/console"
  timeout 3000 "$BOCHS" -q -f "$work/bochsrc" >/dev/null 2>&1 </dev/null || true
  tr -d '\r' <"$work/console" | grep -v '^\[ '
  for name in $2; do grep -q "^passed $name" "$work/console"; done
  grep -q "tiles $3" "$work/console"
}

boot "" "$tests" "used"
boot ",600" "test_training_by_tiles test_tiles" "none"
boot " noxsave" "test_training_by_tiles test_tiles" "none"
echo "All tests passed on tiles that are emulated, and none met them where the system says no."
