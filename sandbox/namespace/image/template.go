//go:build linux

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/detached"
)

const (
	blockSize = 4096
	// bytesPerInode is mkfs.ext4's own default, and inodeSize too: a 64th of the size is inodes.
	bytesPerInode = 16384
	inodeSize     = 256
	// maxTemplates bounds what is kept in memory: some 100 KB for each size.
	maxTemplates = 64
)

// features are what a file system of one short life needs: no journal, and nothing that has the kernel write all
// inode tables or bitmaps at once.
const features = "none,ext_attr,dir_index,filetype,extent,flex_bg,uninit_bg,large_file,dir_nlink,extra_isize,sparse_super2"

// template is an empty file system: the few blocks of it that are not holes.
type template struct {
	size    int64 // of the file
	extents []extent
}

type extent struct {
	offset int64
	data   []byte
}

// findMkfs looks where distributions have it. The search path of whoever started the daemon is not asked.
func findMkfs() (string, error) {
	for _, dir := range [...]string{"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"} {
		path := dir + "/mkfs.ext4"
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("image: mkfs.ext4: %w", fs.ErrNotExist)
}

// fileSize is how large a file must be for so many bytes of files: with the inodes, what ext4 keeps for itself (a
// fiftieth, at most 4,096 blocks) and the descriptors.
func fileSize(bytes int64) int64 {
	size := bytes + bytes/bytesPerInode*inodeSize + min(bytes/50, 4096*blockSize) + 2<<20
	return (size + blockSize - 1) / blockSize * blockSize
}

// template finds or makes the template of a size.
func (m *Maker) template(ctx context.Context, bytes int64) (*template, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.templates[bytes]; t != nil {
		return t, nil
	}
	t, err := m.makeTemplate(ctx, bytes)
	if err != nil {
		return nil, err
	}
	for other := range m.templates {
		if len(m.templates) < maxTemplates {
			break
		}
		delete(m.templates, other)
	}
	m.templates[bytes] = t
	return t, nil
}

func (m *Maker) makeTemplate(ctx context.Context, bytes int64) (*template, error) {
	size := fileSize(bytes)
	file, err := nameless(m.config.Dir, size)
	if err != nil {
		return nil, err
	}
	var i *Image
	if err = m.mkfs(ctx, file, max(bytes/bytesPerInode, 16)); err == nil {
		i, err = m.open(file, size, m.config.Attached, func(io.WriterAt) error { return nil })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("image: template: %w", err), file.Close())
	}
	t := &template{size: size}
	if err = i.finish(bytes); err == nil {
		t.extents, err = extents(file)
	}
	if err := errors.Join(err, i.Close()); err != nil {
		return nil, fmt.Errorf("image: template: %w", err)
	}
	return t, nil
}

// mkfs makes the file system. The host's own configuration of the tool is left out.
func (m *Maker) mkfs(ctx context.Context, file *os.File, inodes int64) error {
	cmd := exec.CommandContext(ctx, m.config.Mkfs, "-q", "-F", "-b", strconv.Itoa(blockSize), "-I", strconv.Itoa(inodeSize),
		"-m", "0", "-U", "clear", "-N", strconv.FormatInt(inodes, 10), "-O", features,
		"-E", "lazy_itable_init=1,nodiscard,num_backup_sb=0", "/proc/self/fd/3")
	cmd.Env = []string{"MKE2FS_CONFIG=/dev/null"}
	cmd.ExtraFiles = []*os.File{file}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", m.config.Mkfs, err, out)
	}
	return nil
}

// finish makes a new file system ready to be copied: empty, large enough, and whole on the disk.
func (i *Image) finish(bytes int64) error {
	root := int(i.root.Fd())
	if err := unix.Unlinkat(root, "lost+found", unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("lost+found: %w", err)
	}
	var stat unix.Statfs_t
	if err := unix.Fstatfs(root, &stat); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	if room := int64(stat.Bavail) * blockSize; room < bytes {
		return fmt.Errorf("it has room for %d bytes instead of %d", room, bytes)
	}
	// Read-only, it is written out and marked clean before this returns; an unmount may be late.
	pick, err := unix.Fspick(int(i.tree.Fd()), "", unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fspick: %w", err)
	}
	defer unix.Close(pick)
	if err := errors.Join(unix.FsconfigSetFlag(pick, "ro"), unix.FsconfigReconfigure(pick)); err != nil {
		return fmt.Errorf("read-only: %w%s", err, detached.Complaint(pick))
	}
	return nil
}

// extents reads what of a file is no hole.
func extents(file *os.File) ([]extent, error) {
	var all []extent
	fd := int(file.Fd())
	for offset := int64(0); ; {
		begin, err := unix.Seek(fd, offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // none behind here
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		end, err := unix.Seek(fd, begin, unix.SEEK_HOLE)
		if err != nil {
			return nil, fmt.Errorf("hole: %w", err)
		}
		data := make([]byte, end-begin)
		if _, err := file.ReadAt(data, begin); err != nil {
			return nil, err
		}
		all = append(all, extent{begin, data})
		offset = end
	}
}

// write copies the template to an empty device.
func (t *template) write(device io.WriterAt) error {
	for _, e := range t.extents {
		if _, err := device.WriteAt(e.data, e.offset); err != nil {
			return err
		}
	}
	return nil
}
