// Command readlog reads a published log with Go's own implementation of transparency logs, golang.org/x/mod/sumdb: the
// note of each checkpoint, every entry against authenticated tiles, inclusion proofs, and consistency between sizes.
//
//	readlog -log DIR|URL [-vkey FILE] [-old FILE]...
//	readlog -log DIR -each
//
// With -each, DIR has checkpoints of many sizes in checkpoints/<size>, oldest tiles and all. Otherwise the log has one
// checkpoint, and -old names earlier ones that it has to be consistent with. It prints what it checked, as JSON.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// height of a tile of the format, in levels of the tree.
const height = 8

// full is the number of entries in a full bundle.
const full = 1 << height

// maxBytes bounds what is read of any one file: a bundle of 256 entries of 64 KiB.
const maxBytes = full * (1<<16 + 2)

// log reads the pieces of one log.
type log struct {
	root   string
	client *http.Client
}

func (l *log) read(name string) ([]byte, error) {
	if !strings.HasPrefix(l.root, "http://") {
		return os.ReadFile(filepath.Join(l.root, filepath.FromSlash(name)))
	}
	answer, err := l.client.Get(l.root + "/" + name)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", name, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxBytes))
}

// Height, ReadTiles and SaveTiles make it a tlog.TileReader.
func (l *log) Height() int { return height }

func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		// The paths of the Go checksum database have the height in them, which is always eight here.
		name := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := l.read(name)
		if err != nil {
			return nil, err
		}
		if len(bytes) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", name, len(bytes))
		}
		data = append(data, bytes)
	}
	return data, nil
}

func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

// bundle gives the entries of a bundle of so many.
func (l *log) bundle(index, width int64) ([][]byte, error) {
	// A bundle has the path of the leaves' tile, in another directory.
	tile := tlog.Tile{H: height, L: 0, N: index, W: int(width)}
	name := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	bytes, err := l.read(name)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(bytes) >= 2 {
		length := int(binary.BigEndian.Uint16(bytes))
		if len(bytes)-2 < length {
			break
		}
		entries = append(entries, bytes[2:2+length])
		bytes = bytes[2+length:]
	}
	if len(bytes) != 0 || int64(len(entries)) != width {
		return nil, fmt.Errorf("%s has %d entries and %d bytes more", name, len(entries), len(bytes))
	}
	return entries, nil
}

// open believes a checkpoint that the log's key signed.
func open(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// found counts what was checked.
type found struct {
	Checkpoints int   `json:"checkpoints"`
	Size        int64 `json:"size"`
	Entries     int64 `json:"entries"`
	Inclusions  int64 `json:"inclusions"`
	Extensions  int64 `json:"extensions"`
}

// check reads all entries of a tree, and proves those that proved says.
func (f *found) check(l *log, tree tlog.Tree, proved func(int64) bool) error {
	reader := tlog.TileHashReader(tree, l)
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the tiles of size %d have another root", tree.N)
	}
	for first := int64(0); first < tree.N; first += full {
		width := tree.N - first
		if width > full {
			width = full
		}
		entries, err := l.bundle(first/full, width)
		if err != nil {
			return err
		}
		var places []int64
		for at := range entries {
			places = append(places, tlog.StoredHashIndex(0, first+int64(at)))
		}
		// Hashes from this reader are in the tree: it authenticates the tiles.
		hashes, err := reader.ReadHashes(places)
		if err != nil {
			return err
		}
		for at, entry := range entries {
			index, hash := first+int64(at), tlog.RecordHash(entry)
			if hash != hashes[at] {
				return fmt.Errorf("entry %d of %d does not have the hash of its leaf", index, tree.N)
			}
			f.Entries++
			if !proved(index) {
				continue
			}
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, hash); err != nil {
				return fmt.Errorf("entry %d of %d: %w", index, tree.N, err)
			}
			f.Inclusions++
		}
	}
	f.Checkpoints++
	f.Size = tree.N
	return nil
}

// extends checks that a tree goes on from an earlier one.
func (f *found) extends(l *log, tree, old tlog.Tree) error {
	proof, err := tlog.ProveTree(tree.N, old.N, tlog.TileHashReader(tree, l))
	if err != nil {
		return fmt.Errorf("from %d to %d: %w", old.N, tree.N, err)
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("from %d to %d: %w", old.N, tree.N, err)
	}
	f.Extensions++
	return nil
}

// each checks every checkpoint of a log that was kept at many sizes.
func (f *found) each(l *log, verifier note.Verifier) error {
	files, err := os.ReadDir(filepath.Join(l.root, "checkpoints"))
	if err != nil {
		return err
	}
	var trees []tlog.Tree
	for _, file := range files {
		text, err := l.read("checkpoints/" + file.Name())
		if err != nil {
			return err
		}
		tree, err := open(text, verifier)
		if err != nil {
			return fmt.Errorf("checkpoint %s: %w", file.Name(), err)
		}
		trees = append(trees, tree)
	}
	sort.Slice(trees, func(a, b int) bool { return trees[a].N < trees[b].N })
	for at, tree := range trees {
		// Entries are all compared; proofs of all of them at all sizes would take minutes.
		proved := func(index int64) bool { return (index*7+tree.N)%61 == 0 && index < 2*full || tree.N-index < 3 }
		if err := f.check(l, tree, proved); err != nil {
			return err
		}
		for before := 0; before <= at; before++ {
			if at-before < 3 || (before*5+at)%41 == 0 {
				if err := f.extends(l, tree, trees[before]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

type names []string

func (n *names) String() string     { return strings.Join(*n, " ") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func run() (*found, error) {
	var olds names
	root := flag.String("log", "", "the log: a directory, or its URL")
	vkey := flag.String("vkey", "", "the file with the log's key [default: vkey in the directory]")
	each := flag.Bool("each", false, "check all of checkpoints/")
	flag.Var(&olds, "old", "an earlier checkpoint")
	flag.Parse()
	l := &log{root: strings.TrimSuffix(*root, "/"), client: &http.Client{Timeout: 30 * time.Second}}
	if *vkey == "" {
		*vkey = filepath.Join(*root, "vkey")
	}
	key, err := os.ReadFile(*vkey)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return nil, err
	}
	f := &found{}
	if *each {
		return f, f.each(l, verifier)
	}
	text, err := l.read("checkpoint")
	if err != nil {
		return nil, err
	}
	tree, err := open(text, verifier)
	if err != nil {
		return nil, err
	}
	if err := f.check(l, tree, func(int64) bool { return true }); err != nil {
		return nil, err
	}
	for _, name := range olds {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		old, err := open(text, verifier)
		if err != nil {
			return nil, err
		}
		if err := f.extends(l, tree, old); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func main() {
	f, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "readlog:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		os.Exit(1)
	}
}
