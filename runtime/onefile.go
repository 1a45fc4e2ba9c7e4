package runtime

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// needed finds the files that a file of the Node.js bootstrap loads at its top: all others are loaded when they are needed.
var needed = regexp.MustCompile(`(?m)^const [\w{}, ]+ = require\('\./([a-z]+\.js)'\);$`)

const (
	// nodeMain is the file that Node.js is started with.
	nodeMain = "bootstrap.js"
	// nodeProgram is the bootstrap proper, which nodeMain runs as it is in nodeCompiled.
	nodeProgram  = "main.js"
	nodeCompiled = "main.compiled"
)

// compileNodeScript prints a file's functions as V8 compiles them, in base64: arguments are where the file will be seen, and,
// last, where it is. All functions are compiled, not only those that run at once. How V8 was told so is no matter later.
const compileNodeScript = `const v8 = require('v8');
const { Script } = require('vm');
const [, shown, where] = process.argv;
const text = require('fs').readFileSync(where + '/` + nodeProgram + `', 'latin1');
v8.setFlagsFromString('--no-lazy');
const script = new Script(text, { filename: shown + '/` + nodeProgram + `' });
v8.setFlagsFromString('--lazy');
process.stdout.write(script.createCachedData().toString('base64'));
`

// nodeFiles puts the files of the Node.js bootstrap that are always needed into two.
func nodeFiles(files map[string][]byte) error {
	begin, inMain, err := oneFile(nodeMain, files, nil)
	if err != nil {
		return err
	}
	program, _, err := oneFile(nodeProgram, files, inMain)
	if err != nil {
		return err
	}
	if bytes.ContainsFunc(program, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return fmt.Errorf("bootstrap: %s is not ASCII, which it is read as", nodeProgram)
	}
	files[nodeMain] = begin
	files[nodeProgram] = fmt.Appendf(nil, "((require, __dirname) => {%s})\n", program)
	return nil
}

// compileNode returns nodeCompiled: the size of nodeProgram's compiled code, that code, and its text.
func compileNode(ctx context.Context, in *Interpreter, text []byte, dir, inside string, compile compiler) ([]byte, error) {
	out, err := compile(ctx, in.Path, []string{"-e", compileNodeScript, inside}, dir)
	var code []byte
	if err == nil {
		code, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(out)))
	}
	if err == nil && len(code) == 0 {
		err = errors.New("it prints nothing")
	}
	if err != nil {
		return nil, fmt.Errorf("compile the bootstrap with %s: %w", in.Path, err)
	}
	made := binary.LittleEndian.AppendUint32(nil, uint32(len(code)))
	return append(append(made, code...), text...), nil
}

// oneFile writes a file of the Node.js bootstrap together with those that it needs, because one file loads faster than
// six. Each is a function that is called at once, after those that it needs itself. What is in has is had from require. It
// returns which others the file has.
func oneFile(main string, files map[string][]byte, has map[string]bool) ([]byte, map[string]bool, error) {
	var out strings.Builder
	out.WriteString("'use strict';\nconst here = {};\nconst ask = Object.assign((name) => here[name] || require(name), " +
		"{ main: require.main, import: require.import });\n")
	state := map[string]bool{} // true: written; false: being written
	var write func(name string) error
	write = func(name string) error {
		content, there := files[name]
		if !there {
			return fmt.Errorf("bootstrap: no %s", name)
		}
		if done, seen := state[name]; seen || has[name] {
			if !done && !has[name] {
				return fmt.Errorf("bootstrap: %s needs itself", name)
			}
			return nil
		}
		state[name] = false
		for _, match := range needed.FindAllSubmatch(content, -1) {
			if err := write(string(match[1])); err != nil {
				return err
			}
		}
		state[name] = true
		if name == main {
			fmt.Fprintf(&out, "((require) => {%s\n})(ask);\n", content)
			return nil
		}
		fmt.Fprintf(&out, "here['./%s'] = ((module, require) => {%s\nreturn module.exports;\n})({}, ask);\n", name, content)
		return nil
	}
	if err := write(main); err != nil {
		return nil, nil, err
	}
	return []byte(out.String()), state, nil
}
