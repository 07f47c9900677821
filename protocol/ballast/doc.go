// Package ballast keeps a daemon able to write on a disk that others have filled.
//
// In the data directory lies a file that takes up room and means nothing. When a write that must succeed finds no
// room, the file is removed and the write is tried once more (Save). Once there is plenty of room again the file is
// made anew (Run). Its blocks are written with random bytes, neither sparse nor compressible, and its size goes
// down with that of the file system, so that it never is more than a sixteenth of it.
//
// Who rewrites one file over and over can have its blocks beforehand (Allocate): what is written there then needs no
// room at all, not even in a race with somebody who takes every block that becomes free.
//
// Invariants: the file is only made where as much again stays free; an idle Run sleeps until the ballast was used.
package ballast
