package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGeneratedCodeIsCurrent fails when the committed packages are not what the models make.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	root := filepath.Join("..", "..")
	dir, err := modelsDir("", root)
	if err != nil {
		t.Skip(err)
	}
	for _, name := range services {
		m, err := loadModel(dir, "supplement", name)
		if err != nil {
			t.Fatal(err)
		}
		files, err := generate(name, m)
		if err != nil {
			t.Fatal(err)
		}
		for file, want := range files {
			got, err := os.ReadFile(filepath.Join(root, "awsapi", name, file))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("awsapi/%s/%s is not what the model makes: run go generate ./awsapi", name, file)
			}
		}
	}
}

// TestEveryModelGenerates has the generator, and every pattern, ready for services that are still to come.
func TestEveryModelGenerates(t *testing.T) {
	dir, err := modelsDir("", filepath.Join("..", ".."))
	if err != nil {
		t.Skip(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		m, err := loadModel(dir, "supplement", entry.Name())
		if err != nil {
			t.Errorf("%s: %v", entry.Name(), err)
			continue
		}
		if _, err := generate(entry.Name(), m); err != nil {
			t.Errorf("%s: %v", entry.Name(), err)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	for name, c := range map[string]struct{ model, want string }{
		"a pattern that RE2 has no words for": {
			`{"shapes": {"A": {"type": "string", "pattern": "(?!x)y"}}}`, "needs a hand-written matcher",
		},
		"an unknown protocol": {`{"metadata": {"protocol": "json", "protocols": ["json", "smoke-signals"]}}`, `unknown protocol "smoke-signals"`},
		"an unknown type":     {`{"shapes": {"A": {"type": "bignum"}}}`, `unknown type "bignum"`},
		"an unknown location": {`{"shapes": {"A": {"type": "structure", "members": {"B": {"shape": "A", "location": "trailer"}}}}}`, `unknown location "trailer"`},
		"a dangling member":   {`{"shapes": {"A": {"type": "structure", "members": {"B": {"shape": "C"}}}}}`, `refers to "C"`},
		"a dangling input":    {`{"shapes": {}, "operations": {"Op": {"name": "Op", "input": {"shape": "C"}}}}`, `refers to "C"`},
		"two equal fields": {
			`{"shapes": {"A": {"type": "structure", "members": {"b": {"shape": "S"}, "B": {"shape": "S"}}}, "S": {"type": "string"}},
			  "operations": {"Op": {"name": "Op", "input": {"shape": "A"}}}}`, "two members named B",
		},
		"two equal constants": {
			`{"shapes": {"A": {"type": "string", "enum": ["a b", "a-b", "a.b"]}}}`, "two constants would be named AABValue",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m model
			if err := json.Unmarshal([]byte(c.model), &m); err != nil {
				t.Fatal(err)
			}
			if m.Metadata.Protocol == "" {
				m.Metadata.Protocol = "json"
			}
			_, err := generate("x", &m)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one that contains %q", err, c.want)
			}
		})
	}
}

func TestEnumName(t *testing.T) {
	for _, c := range []struct{ shape, value, want string }{
		{"Runtime", "python3.12", "RuntimePython3_12"},
		{"Runtime", "nodejs4.3-edge", "RuntimeNodejs4_3Edge"},
		{"Architecture", "x86_64", "ArchitectureX86_64"},
		{"FunctionUrlAuthType", "AWS_IAM", "FunctionUrlAuthTypeAwsIam"},
		{"accessLevel", "*", "AccessLevelStar"},
		{"E", "", "EEmpty"},
	} {
		if got := enumName(c.shape, c.value); got != c.want {
			t.Errorf("enumName(%q, %q) = %q, want %q", c.shape, c.value, got, c.want)
		}
	}
}
