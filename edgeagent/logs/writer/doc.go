// Command skerry-log writes the log of one container. The container's shim starts it (containerd's binary://
// logger: descriptor 3 is the container's stdout, 4 its stderr, 5 is closed to say ready) and it ends with
// the container, whatever becomes of agent and containerd meanwhile.
//
// Its arguments are pairs: dir DIR name NAME bytes N files N. It writes DIR/NAME (the agent names it
// <attempt>.log) in CRI format, one line of output a line:
//
//	2026-01-02T15:04:05.000000006Z stdout F text
//
// A line longer than 16 KiB becomes several with the tag P for "to be continued", the last one has F.
//
// Rotation. When the next line doesn't fit into N bytes, NAME.1 becomes NAME.2 and so on, NAME becomes
// NAME.1, and a new NAME is begun; at most `files` files are kept, NAME included. No line spans two files;
// the pieces of a long line may. Files are only ever appended to, renamed and removed, so a reader keeps its
// file open, reads it to the end, and if NAME is another file by then (compare inodes) goes on with the one
// after its own in the order …, NAME.2, NAME.1, NAME; if its own is gone, with the oldest. Having opened it,
// it looks again whether that is still the one, for a rotation may have come between. For a moment in a
// rotation NAME is missing, and after a crash a number may be.
//
// A disk counts as full while 16 MiB are still free, or a sixteenth of a small disk, so that logs alone never fill
// it to the last block.
//
// Output that can't be written (disk full, directory gone) is dropped and counted, and the container goes on;
// once writing works again a line from skerry-log on stderr says how much was lost and why. A file never
// ends in half a line because of that.
//
// Standard library only, and neither fmt nor net: one of these runs for each container, and is to take less
// than 1 MiB.
package main
