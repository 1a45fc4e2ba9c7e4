package runtime

import (
	"fmt"
	"regexp"
	"strings"
)

// needed finds the files that a file of the Node.js bootstrap loads at its top: all others are loaded when they are needed.
var needed = regexp.MustCompile(`(?m)^const [\w{}, ]+ = require\('\./([a-z]+\.js)'\);$`)

// nodeMain is the file that Node.js is started with.
const nodeMain = "bootstrap.js"

// oneFile writes a file of the Node.js bootstrap together with those that it needs, because one file loads faster than
// six. Each is a function that is called at once, after those that it needs itself.
func oneFile(main string, files map[string][]byte) ([]byte, error) {
	var out strings.Builder
	out.WriteString("'use strict';\nconst here = {};\nconst ask = Object.assign((name) => here[name] || require(name), { main: require.main });\n")
	state := map[string]bool{} // true: written; false: being written
	var write func(name string) error
	write = func(name string) error {
		content, there := files[name]
		if !there {
			return fmt.Errorf("bootstrap: no %s", name)
		}
		if done, seen := state[name]; seen {
			if !done {
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
		return nil, err
	}
	return []byte(out.String()), nil
}
