package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/skerry-edge/skerry/edgectl/restore"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// backupsPath is where the master makes backups.
const backupsPath = "/apis/skerry.dev/v1/backups"

// newBackupCommand is edgectl backup.
func newBackupCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Save the whole cluster into a file that only its recovery key opens",
		Long: "Save the whole cluster into a file: all objects, Secrets among them, and the keys that make the cluster this cluster. The master goes on " +
			"meanwhile, and the file shows it at one moment. It is sealed for the cluster's recovery key, so it may lie anywhere that is not with " +
			"that key. The file is there whole or not at all. Only who may do everything in the cluster can do this.",
		Example: `  # Every night, one file a weekday
  edgectl backup /mnt/nas/skerry-$(date +%a).backup

  # On a new machine, after the master's has burnt
  sudo edgectl restore skerry-Mon.backup --recovery-key key.txt`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the file to write: edgectl backup FILE")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			saved, err := backup(c.Context(), flags, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(streams.Out, "saved the cluster %q as of %s (revision %d, epoch %d.%d) into %s, %s; the recovery key %s opens it\n",
				printable(saved.Cluster), saved.Time.Local().Format(time.RFC1123), saved.Rev, saved.Term, saved.Start, args[0], bytesInWords(saved.Bytes), saved.KeyID)
			return nil
		},
	}
}

// backup has the master write a backup into a file, which is there whole or as it was before.
func backup(ctx context.Context, flags genericclioptions.RESTClientGetter, path string) (saved recovery.Checked, err error) {
	aside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return recovery.Checked{}, err
	}
	defer os.Remove(aside.Name()) // does nothing once it is renamed
	stream, err := openStream(ctx, flags, backupsPath)
	if err == nil {
		saved, err = receive(stream, aside)
	}
	err = errors.Join(err, aside.Close())
	if err == nil {
		err = os.Rename(aside.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		err = fmt.Errorf("the disk of %s is full; free space there, or name a file elsewhere: %w", path, err)
	case apierrors.IsNotFound(err):
		err = errors.New("this cluster makes no backups; is its master older than this program?")
	}
	return saved, err
}

// receive copies a backup into a file and sees to it that all of it has come.
func receive(stream io.ReadCloser, file *os.File) (recovery.Checked, error) {
	defer stream.Close()
	w := &noting{w: file}
	saved, err := recovery.Check(io.TeeReader(stream, w))
	switch {
	case w.err != nil: // the disk's fault, not the master's
		return recovery.Checked{}, w.err
	case errors.Is(err, recovery.ErrVersion):
		return recovery.Checked{}, fmt.Errorf("the master's answer can't be checked here: %w; use the edgectl of its version", err)
	case err != nil:
		return recovery.Checked{}, fmt.Errorf("the backup did not come whole: %w; the master's log may say why, or try again", err)
	}
	return saved, file.Sync()
}

// noting remembers the error of a writer.
type noting struct {
	w   io.Writer
	err error
}

func (n *noting) Write(p []byte) (int, error) {
	written, err := n.w.Write(p)
	if err != nil {
		n.err = err
	}
	return written, err
}

// openStream asks for an answer that may take long.
func openStream(ctx context.Context, flags genericclioptions.RESTClientGetter, path string) (io.ReadCloser, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config.NegotiatedSerializer, config.Timeout = scheme.Codecs.WithoutConversion(), 0
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return client.Verb("POST").AbsPath(path).Stream(ctx)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// bytesInWords is a size as people write it.
func bytesInWords(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// newRestoreCommand is edgectl restore.
func newRestoreCommand(dataDir *string, streams genericiooptions.IOStreams) *cobra.Command {
	var keyFile string
	c := &cobra.Command{
		Use:   "restore FILE --recovery-key FILE",
		Short: "Make a master's data directory of a backup, on this machine",
		Long: "Make a master's data directory of a backup, on this machine, while no master runs in it. All of the backup is checked before anything " +
			"is changed; what was in the directory is kept beside it under another name. Then start skerry-master: its nodes follow it without joining " +
			"again, and what they run goes on. What was written after the backup was made is lost.",
		Example: `  # On the machine that is to be the master; key.txt has the recovery key, skr1-…
  sudo systemctl stop skerry-master
  sudo edgectl restore skerry-Mon.backup --recovery-key key.txt
  sudo systemctl start skerry-master`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the backup: edgectl restore FILE --recovery-key FILE")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if keyFile == "" {
				return errors.New("--recovery-key is needed: a file with the recovery key that the cluster had when the backup was made (skr1-…)")
			}
			done, err := restore.Restore(restore.Config{Backup: args[0], KeyFile: keyFile, Dir: *dataDir})
			if err != nil {
				return err
			}
			fmt.Fprintf(streams.Out, "restored the cluster %q as of %s (revision %d, saved by skerry-master %s) into %s\n",
				printable(done.Cluster), done.Time.Local().Format(time.RFC1123), done.Rev, printable(done.Version), *dataDir)
			if done.Aside != "" {
				fmt.Fprintf(streams.Out, "what was there is in %s; it holds keys: remove it when all is well\n", done.Aside)
			}
			fmt.Fprintf(streams.Out, "now start the master with --cluster-name %s and under the addresses that its nodes know: systemctl start skerry-master\n", printable(done.Cluster))
			return nil
		},
	}
	c.Flags().StringVar(&keyFile, "recovery-key", "", "File with the recovery key of the cluster")
	return c
}
