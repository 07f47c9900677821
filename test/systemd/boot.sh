#!/bin/bash
# boot.sh GROUP DIR SOURCE BIN: becomes process 1 of a machine of its own. GROUP is the name of its cgroup; DIR an empty
# directory to work in; SOURCE and BIN are seen in it as /mnt/source and /mnt/bin.
set -eu
group=$1 dir=$2 source=$3 bin=$4
cgroups=/sys/fs/cgroup

# First into a cgroup of our own, which the new cgroup namespace then takes for the root.
if [ -z "${BOOT_STAGE:-}" ]; then
	if [ -e $cgroups/cgroup.controllers ]; then
		echo "+cpu +cpuset +memory +pids +io" >$cgroups/cgroup.subtree_control 2>/dev/null || true
		mkdir $cgroups/"$group"
		echo $$ >$cgroups/"$group"/cgroup.procs
	else
		for c in $cgroups/*/; do
			[ ! -e "$c"cgroup.procs ] || [ -L "${c%/}" ] || mkdir "$c$group"
			# A cpuset takes nobody in before it has processors and memory.
			for f in cpuset.cpus cpuset.mems; do
				if [ -e "$c$group/$f" ]; then cat "$c$f" >"$c$group/$f"; fi
			done
			if [ -e "$c$group/cgroup.procs" ]; then echo $$ >"$c$group/cgroup.procs"; fi
		done
	fi
	BOOT_STAGE=2 exec unshare --mount --pid --fork --kill-child --cgroup --net --uts --ipc "$0" "$@"
fi

mount --make-rprivate /
mount -t tmpfs none "$dir"
mkdir "$dir"/{upper,work,root}
root=$dir/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$root"

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
if [ -e $cgroups/cgroup.controllers ]; then
	mount -t cgroup2 cgroup2 "$root$cgroups"
else
	mount -t tmpfs none "$root$cgroups"
	for c in $cgroups/*/; do
		c=$(basename "$c")
		[ -e $cgroups/"$c"/cgroup.procs ] && [ ! -L $cgroups/"$c" ] || continue
		mkdir "$root$cgroups/$c"
		case $c in
		systemd) mount -t cgroup -o none,name=systemd cgroup "$root$cgroups/$c" ;;
		unified) mount -t cgroup2 cgroup2 "$root$cgroups/$c" ;;
		*) mount -t cgroup -o "$c" cgroup "$root$cgroups/$c" ;;
		esac
	done
fi
mount -o remount,bind,ro "$root/sys" # so that nothing in it thinks of the host's devices as its own

mount -t tmpfs none "$root/dev"
for d in null zero full random urandom tty fuse; do
	if [ -e /dev/$d ]; then touch "$root/dev/$d"; mount --bind /dev/$d "$root/dev/$d"; fi
done
mkdir "$root"/dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
# containerd's snapshots are overlays, which can't lie upon one.
mkdir -p "$root/var/lib/containerd" "$root"/mnt/{source,bin}
for d in dev/shm run tmp var/lib/containerd; do mount -t tmpfs none "$root/$d"; done
mount --bind "$source" "$root/mnt/source"
mount --bind "$bin" "$root/mnt/bin"

# Nothing of the host's own services and settings.
rm -rf "$root"/etc/systemd/system "$root"/etc/skerry "$root"/var/lib/skerry "$root"/usr/local/bin/{skerry-*,edgectl}
rm -rf "$root"/usr/local/lib/systemd "$root"/var/log/journal "$root"/etc/cni "$root"/etc/containerd
mkdir -p "$root/etc/systemd/system"
for unit in systemd-{sysctl,udevd,modules-load,random-seed,remount-fs,hwdb-update,timesyncd,resolved,networkd,logind}.service networking.service; do
	ln -s /dev/null "$root/etc/systemd/system/$unit"
done
rm -f "$root/etc/machine-id"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
echo machine >"$root/etc/hostname"

# An interface with a carrier and a way out, behind which nobody is.
ip link set lo up
ip link add eth0 type veth peer name wire
ip link set wire up
ip link set eth0 up
ip addr add 10.99.0.2/24 dev eth0
ip route add default via 10.99.0.1

mkdir -p "$root/mnt/host"
cd "$root"
pivot_root . mnt/host
umount -l /mnt/host
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
	/lib/systemd/systemd --unit=multi-user.target --show-status=1
