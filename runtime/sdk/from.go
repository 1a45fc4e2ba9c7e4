package sdk

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// shape is where in a directory that somebody has prepared an SDK may be, and what it is known by.
type shape struct {
	// roots are looked at in this order.
	roots []string
	marks []string
	// below is where it belongs in a runtime's directory.
	below string
}

// shapes are those of pip install --target and npm install --prefix, and of layers.
var shapes = map[string]shape{
	Python: {roots: []string{".", "site-packages", "python"}, marks: []string{"boto3/__init__.py"}},
	NodeJS: {roots: []string{"node_modules", "nodejs/node_modules", "."}, marks: []string{"@aws-sdk", "aws-sdk/package.json"}, below: "node_modules"},
}

// From returns what fills a directory with the SDK of a language that somebody has put into a directory or a zip file: all
// that is beside it is taken too, because it may need that.
func (f Fetcher) From(language, where string) Fill {
	return func(ctx context.Context, dir string) error {
		files, closeFiles, err := open(where)
		if err != nil {
			return fmt.Errorf("sdk: %w", err)
		}
		err = copySDK(ctx, language, files, dir)
		if err := errors.Join(err, closeFiles()); err != nil {
			return fmt.Errorf("sdk: %s: %w", where, err)
		}
		if language == Python {
			return f.compile(ctx, dir)
		}
		return nil
	}
}

func open(where string) (files fs.FS, closeFiles func() error, err error) {
	info, err := os.Stat(where)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return os.DirFS(where), func() error { return nil }, nil
	}
	archive, err := zip.OpenReader(where)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is neither a directory nor a zip file: %w", where, err)
	}
	return archive, archive.Close, nil
}

func copySDK(ctx context.Context, language string, files fs.FS, dir string) error {
	as := shapes[language]
	root := slices.IndexFunc(as.roots, func(root string) bool {
		return slices.ContainsFunc(as.marks, func(mark string) bool {
			_, err := fs.Stat(files, path.Join(root, mark))
			return err == nil
		})
	})
	if root < 0 {
		return fmt.Errorf("there is no SDK in it for %s: neither %s in one of %s", language, strings.Join(as.marks, " nor "),
			strings.Join(as.roots, ", "))
	}
	if as.below != "" {
		dir = filepath.Join(dir, as.below)
		if err := os.Mkdir(dir, dirMode); err != nil {
			return err
		}
	}
	below, err := fs.Sub(files, as.roots[root])
	if err != nil {
		return err
	}
	return fs.WalkDir(below, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name == ".":
			return nil
		case entry.IsDir() && (entry.Name() == "__pycache__" || name == ".bin" || name == "bin"):
			return fs.SkipDir
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		switch {
		case entry.IsDir():
			return os.Mkdir(target, dirMode)
		case entry.Type() == fs.ModeSymlink:
			link, err := fs.ReadLink(below, name)
			if err != nil {
				return err
			}
			// Where it leads is looked at when all is there.
			return os.Symlink(link, target) //nolint:gosec // target is in a directory that only this process writes
		case entry.Type() != 0:
			return fmt.Errorf("%s is no file", name)
		default:
			return copyFile(below, name, target)
		}
	})
}
