// Package restore puts a backup in the place of a master's data directory, on a machine where no master runs.
//
//	backup, key ─► checked whole ─► DIR.restoring-N: keys, store, epoch, all synced ─► swapped with DIR ─► DIR.before-restore-N
//
// Nothing that was there is touched before all of the backup is on the disk and was authenticated; the swap is one step
// of the file system, and what it takes away is renamed, never deleted. The new directory begins in a term above both the
// backup's and that of the directory it replaces, at a start drawn at random, so that restoring one backup twice makes no
// revision stand for two states, and nodes obey.
package restore
