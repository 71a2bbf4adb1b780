// Renders templates with Sprig, and validates CDI specifications with the library of container runtimes: `oracle templates`, `oracle cdi`.
// Reads JSON documents from standard input and writes one line of JSON for each.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

type answer struct {
	Output string `json:"output"`
	Error  string `json:"error"`
}

func main() {
	answers := map[string]func(json.RawMessage) (string, error){"templates": render, "cdi": check}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var question json.RawMessage
		if in.Decode(&question) != nil {
			return
		}
		output, err := safely(answers[os.Args[1]], question)
		if err != nil {
			_ = out.Encode(answer{Error: err.Error()})
		} else {
			_ = out.Encode(answer{Output: output})
		}
	}
}

func safely(ask func(json.RawMessage) (string, error), question json.RawMessage) (output string, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("panic: %v", problem)
		}
	}()
	return ask(question)
}

func render(question json.RawMessage) (string, error) {
	var text string
	if err := json.Unmarshal(question, &text); err != nil {
		return "", err
	}
	parsed, err := template.New("").Option("missingkey=error").Funcs(sprig.FuncMap()).Parse(text)
	if err != nil {
		return "", err
	}
	var output bytes.Buffer
	err = parsed.Execute(&output, map[string]any{})
	return output.String(), err
}

func check(spec json.RawMessage) (string, error) {
	folder, err := os.MkdirTemp("", "cdi")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "spec.json")
	if err := os.WriteFile(path, spec, 0o600); err != nil {
		return "", err
	}
	_, err = cdi.ReadSpec(path, 0)
	return "", err
}
