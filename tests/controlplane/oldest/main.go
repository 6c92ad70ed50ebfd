// Command judge-crds says whether the oldest supported Kubernetes minor would
// accept our CustomResourceDefinitions.
//
// The limits on CEL rules (cost estimates, known functions, recognised string
// formats) differ from minor to minor, and the test control plane is the
// newest one. Starting a second apiserver only for this would cost minutes, so
// the very code that apiserver runs is called here as a library: strict
// decoding, defaulting, conversion to the internal type, validation. The minor
// judged is the version of k8s.io/apiextensions-apiserver in go.mod.
//
// Usage: judge-crds [-samples DIR] CRD_DIR
//
// Every objection is printed as "file: name: field: problem"; any objection
// makes the exit code 1.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

func main() {
	samplesDir := flag.String("samples", "", "also judge the custom resources in this `directory` against the CRDs")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: judge-crds [-samples DIR] CRD_DIR")
		os.Exit(2)
	}

	objections, judged := 0, 0
	object := func(where, problem string) {
		fmt.Printf("%s: %s\n", where, problem)
		objections++
	}

	kinds := map[string]*servedVersion{}
	eachDocument(flag.Arg(0), object, func(file string, document []byte) {
		judged++
		crd, problems := judgeCRD(document)
		name := "?"
		if crd != nil {
			name = crd.Name
		}
		for _, problem := range problems {
			object(file+": "+name, problem)
		}
		if crd != nil && len(problems) == 0 {
			for _, problem := range addServedVersions(kinds, crd) {
				object(file+": "+name, problem)
			}
		}
	})
	if judged == 0 {
		object(flag.Arg(0), "holds no YAML document, so nothing was judged")
	}

	// Without sound CRDs every sample would only repeat that its kind is unknown.
	samples := 0
	if *samplesDir != "" && objections == 0 {
		eachDocument(*samplesDir, object, func(file string, document []byte) {
			samples++
			name, problems := judgeSample(kinds, document)
			for _, problem := range problems {
				object(file+": "+name, problem)
			}
		})
	}

	fmt.Printf("judge-crds: %d CRDs and %d samples against apiextensions-apiserver %s: %d objections\n",
		judged, samples, apiextensionsVersion(), objections)
	if objections > 0 {
		os.Exit(1)
	}
}

// judgeCRD does to one manifest what a create request does to it. It returns
// the internal object when the manifest could be decoded at all.
func judgeCRD(document []byte) (*apiextensions.CustomResourceDefinition, []string) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	// Strict, as kubectl asks the server to be: an unknown field is a mistake.
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()

	decoded, _, err := decoder.Decode(document, nil, nil)
	if err != nil && !runtime.IsStrictDecodingError(err) {
		return nil, []string{err.Error()}
	}
	var problems []string
	if err != nil {
		problems = append(problems, err.Error())
	}
	versioned, ok := decoded.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return nil, append(problems, fmt.Sprintf("is a %s, not an apiextensions.k8s.io/v1 CustomResourceDefinition", decoded.GetObjectKind().GroupVersionKind()))
	}

	scheme.Default(versioned)
	crd := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(versioned, crd, nil); err != nil {
		return nil, append(problems, err.Error())
	}
	// As on create: a status in the file is dropped, the stored version is filled in.
	crd.Status = apiextensions.CustomResourceDefinitionStatus{}
	for _, version := range crd.Spec.Versions {
		if version.Storage {
			crd.Status.StoredVersions = []string{version.Name}
		}
	}

	for _, err := range validation.ValidateCustomResourceDefinition(context.Background(), crd) {
		problems = append(problems, err.Error())
	}
	return crd, append(problems, unrecognizedFormats(crd)...)
}

// unrecognizedFormats lists string and number formats that minor does not
// know. The apiserver merely warns about them, but a format that is silently
// not enforced is a hole in our schema.
func unrecognizedFormats(crd *apiextensions.CustomResourceDefinition) []string {
	var problems []string
	judge := func(version string, root *apiextensions.CustomResourceValidation) {
		if root == nil {
			return
		}
		validation.SchemaHas(root.OpenAPIV3Schema, func(s *apiextensions.JSONSchemaProps) bool {
			node := &spec.Schema{SchemaProps: spec.SchemaProps{Format: s.Format, Type: []string{s.Type}}}
			for _, format := range schemavalidation.GetUnrecognizedFormats(node, environment.DefaultCompatibilityVersion()) {
				problems = append(problems, fmt.Sprintf("version %s: unrecognized format %q of type %s", version, format, s.Type))
			}
			return false // go on through the whole schema
		})
	}
	// Conversion moves a schema that all versions share to the top level.
	judge("*", crd.Spec.Validation)
	for _, version := range crd.Spec.Versions {
		judge(version.Name, version.Schema)
	}
	return problems
}

// eachDocument calls visit with every non-empty YAML document below dir, in
// the order of the file names.
func eachDocument(dir string, object func(where, problem string), visit func(file string, document []byte)) {
	// The walk itself would not follow dir if it is a link.
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		object(dir, err.Error())
		return
	}
	var files []string
	err = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if extension := filepath.Ext(path); err == nil && !entry.IsDir() && (extension == ".yaml" || extension == ".yml") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		object(dir, err.Error())
	}
	sort.Strings(files)
	for _, file := range files {
		content, err := os.Open(file)
		if err != nil {
			object(file, err.Error())
			continue
		}
		reader := yaml.NewYAMLReader(bufio.NewReader(content))
		for {
			document, err := reader.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				object(file, err.Error())
				break
			}
			// A document of comments only decodes to null and says nothing.
			if json, err := yaml.ToJSON(document); err == nil && strings.TrimSpace(string(json)) == "null" {
				continue
			}
			visit(file, document)
		}
		content.Close()
	}
}

// apiextensionsVersion names the judge, so that a log tells which minor spoke.
func apiextensionsVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/apiextensions-apiserver" {
				return module.Version
			}
		}
	}
	return "of unknown version"
}
