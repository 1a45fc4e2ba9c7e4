package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// modelsDir finds the directory of service models: the flag, the data directory, or the neighbour of the clone.
func modelsDir(flag, root string) (string, error) {
	var tried []string
	for _, dir := range []string{flag, fromEnv(), filepath.Join(root, "..", "shared", "aws", "models")} {
		if dir == "" {
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir, nil
		}
		if dir == flag {
			return "", fmt.Errorf("no service models in %s", dir)
		}
		tried = append(tried, dir)
	}
	return "", fmt.Errorf("no service models in %s: install botocore==1.43.67 and give --models <its data directory>",
		strings.Join(tried, " or "))
}

func fromEnv() string {
	if data := os.Getenv("HOTARU_AWS_DATA"); data != "" {
		return filepath.Join(data, "models")
	}
	return ""
}

// modelFile is <models>/<service>/service-2.json, or the newest <models>/<service>/<date>/service-2.json.gz as
// botocore ships it.
func modelFile(models, service string) (string, error) {
	dir := filepath.Join(models, service)
	plain := filepath.Join(dir, "service-2.json")
	if _, err := os.Stat(plain); err == nil {
		return plain, nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "????-??-??", "service-2.json*"))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("no model of %s in %s", service, dir)
	}
	sort.Strings(found)
	return found[len(found)-1], nil
}

func readJSON(path string, into any) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := json.NewDecoder(r).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
