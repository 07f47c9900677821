package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/klauspost/compress/zstd"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Import makes the images in a directory's archives present and pins them: *.tar and *.tar.zst, OCI layouts
// or docker archives. A file that was imported already is not read again. It returns the names of all
// pinned images of these archives, and what went wrong, file by file; one bad file does not stop the others. A
// directory that is not there is empty.
//
// An image gets the name that the archive gives it (docker's RepoTags, the annotation
// io.containerd.image.name, or org.opencontainers.image.ref.name). Where that is only a tag, the file's name
// goes before it: app.tar with the tag v2 is docker.io/library/app:v2.
func (e *Engine) Import(ctx context.Context, dir string) (names []string, err error) {
	ctx = e.in(ctx)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the image archives: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if n := entry.Name(); strings.HasSuffix(n, ".tar") || strings.HasSuffix(n, ".tar.zst") {
			files = append(files, filepath.Join(dir, n))
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	known, err := e.imported(ctx)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, file := range files {
		got, err := e.importFile(ctx, file, known)
		names = append(names, got...)
		if errors.Is(err, engine.ErrAway) || ctx.Err() != nil {
			return names, err
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return names, errors.Join(failed...)
}

// imported are the names of pinned images, by the archive that they came from.
func (e *Engine) imported(ctx context.Context) (map[string][]string, error) {
	all, err := e.client.ListImages(ctx, fmt.Sprintf("labels.%q", labelArchive))
	if err != nil {
		return nil, translate(err, "list imported images")
	}
	known := map[string][]string{}
	for _, img := range all {
		archive := img.Labels()[labelArchive]
		known[archive] = append(known[archive], img.Name())
	}
	return known, nil
}

func (e *Engine) importFile(ctx context.Context, file string, known map[string][]string) ([]string, error) {
	doing := "import " + file
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	id := fmt.Sprintf("%s %d %d", info.Name(), info.Size(), info.ModTime().UnixNano())
	if names := known[id]; len(names) > 0 {
		return names, nil
	}
	var reader io.Reader = f
	if strings.HasSuffix(file, ".zst") {
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		defer z.Close()
		reader = z
	}
	stem, _, _ := strings.Cut(info.Name(), ".tar")
	archive := strained(reader, e.room(ctx))
	defer archive.Close()
	var found []string // also of an archive that is refused
	got, err := e.client.Import(ctx, archive,
		client.WithImportPlatform(e.match),
		client.WithSkipMissing(),
		client.WithImageRefTranslator(func(ref string) string { return archiveName(stem, ref) }),
		// Meant for other names of images; we give none, but this is told all that are in the archive.
		client.WithSkipDigestRef(func(name string) bool {
			found = append(found, name)
			return true
		}),
		client.WithImageLabels(map[string]string{labelPinned: "true"}))
	if err != nil {
		err = importError(err, doing)
		if errors.Is(err, engine.ErrWrongArch) {
			e.noteForeign(found, file)
		}
		return nil, err
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("%s: no image in it has a name: add one with docker tag or an annotation", doing)
	}
	var names []string
	for _, i := range got {
		img := client.NewImageWithPlatform(e.client, i, e.match)
		if _, err := e.configOf(ctx, img); err != nil {
			return names, importError(err, doing)
		}
		if err := e.unpack(ctx, img); err != nil {
			return names, importError(err, doing)
		}
		// Only now is it done with: a crash before this imports it again.
		i.Labels = map[string]string{labelArchive: id}
		if _, err := e.client.ImageService().Update(ctx, i, "labels."+labelArchive); err != nil {
			return names, translate(err, doing)
		}
		names = append(names, i.Name)
	}
	return names, nil
}

// noteForeign keeps what an archive has only for other machines, for those who will ask for it.
func (e *Engine) noteForeign(names []string, file string) {
	e.foreignMu.Lock()
	defer e.foreignMu.Unlock()
	for _, name := range names {
		e.foreign[name] = file
	}
}

// explainMissing is err, of an image that can't be had, or that the archive with the image is for other machines:
// whoever put it there expects no registry to be asked.
func (e *Engine) explainMissing(err error, name string) error {
	e.foreignMu.Lock()
	defer e.foreignMu.Unlock()
	if file, ok := e.foreign[name]; ok {
		return fmt.Errorf("%w: that in %s is for another, this machine is %s", engine.ErrWrongArch, file, hostPlatform())
	}
	return err
}

// archiveName makes a full name of what an archive calls an image; empty when that can't be.
func archiveName(stem, ref string) string {
	if !strings.ContainsAny(ref, "/:@") {
		ref = strings.ToLower(stem) + ":" + ref
	}
	name, err := fullName(ref)
	if err != nil {
		return ""
	}
	return name
}

func importError(err error, doing string) error {
	if errors.Is(err, images.ErrEmptyWalk) {
		return fmt.Errorf("%s: %w: %s", doing, engine.ErrWrongArch, hostPlatform())
	}
	return translate(err, doing)
}
