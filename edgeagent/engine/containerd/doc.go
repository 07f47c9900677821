// Package containerd is the engine that runs containers on containerd 1.6 or later.
//
// containerd's own store is the only truth. What it forgets too early is kept as labels of the container,
// with the prefix skerry.dev/engine-: when its process was started, and, when it ended, the exit code, the
// time and whether memory ran out. An ended task is then deleted (reaped) at once, so that no shim lingers; the
// container stays listed until Remove. Labels are written before the task is deleted, and tasks are listed before
// containers, so List never sees neither.
//
//	no task, not started            Created     (an attempt to start it failed: Start makes it anew)
//	task, running                   Running
//	task, stopped · exit label      Exited      (with or without a task)
//	no task, started, no exit       Lost        (the machine went down: tasks live on a tmpfs)
//
// Run follows containerd's events: it reaps what ended, hints at it, and after each reconnect does both for
// everything, because events are lost while containerd is down. Everything is repeatable; what a failed
// Start made is taken back, and what a crash left is taken back by the next Start of the same ID.
//
// Layers. An image that was fetched or unpacked is synced to disk: containerd 2 is asked to sync each layer
// before it commits the snapshot; for older ones everything is synced once the image is there. Archives
// (see Import) are pinned by a label.
//
// Containers of one sandbox share a shim (annotation io.containerd.runc.v2.group); what starts or ends a
// task therefore takes turns within a sandbox. The cgroups of a pod lie below one parent that is derived
// from the agent's data directory, cgroupfs-style, on v1, hybrid and v2 hosts; a limit that the host can't
// enforce is left out (package machine reports it as a node condition).
package containerd
