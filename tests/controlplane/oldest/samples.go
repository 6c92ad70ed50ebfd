package main

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuralcel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	structurallisttype "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// servedVersion is what the apiserver prepares once for a served version of a
// CRD and then uses on every object of that version.
type servedVersion struct {
	namespaced bool
	structural *structuralschema.Structural
	schema     schemavalidation.SchemaValidator
	rules      *structuralcel.Validator // nil when the schema has no CEL rule
}

// addServedVersions prepares the served versions of crd under "group/version, Kind".
func addServedVersions(kinds map[string]*servedVersion, crd *apiextensions.CustomResourceDefinition) []string {
	var problems []string
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		prepared, err := prepare(crd, version.Name)
		if err != nil {
			problems = append(problems, fmt.Sprintf("version %s: %v", version.Name, err))
			continue
		}
		kinds[kindKey(crd.Spec.Group+"/"+version.Name, crd.Spec.Names.Kind)] = prepared
	}
	return problems
}

func prepare(crd *apiextensions.CustomResourceDefinition, version string) (*servedVersion, error) {
	root, err := apiextensions.GetSchemaForVersion(crd, version)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, fmt.Errorf("has no schema")
	}
	structural, err := structuralschema.NewStructural(root.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	schema, _, err := schemavalidation.NewSchemaValidator(root.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &servedVersion{
		namespaced: crd.Spec.Scope == apiextensions.NamespaceScoped,
		structural: structural,
		schema:     schema,
		rules:      structuralcel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// judgeSample does to one custom resource what a create request does to it,
// and returns the name to print beside the problems.
func judgeSample(kinds map[string]*servedVersion, document []byte) (string, []string) {
	content := map[string]interface{}{}
	if err := yaml.UnmarshalStrict(document, &content); err != nil {
		return "?", []string{err.Error()}
	}
	sample := &unstructured.Unstructured{Object: content}
	name := sample.GetKind() + "/" + sample.GetName()
	version, known := kinds[kindKey(sample.GetAPIVersion(), sample.GetKind())]
	if !known {
		return name, []string{fmt.Sprintf("no CRD here serves %s", kindKey(sample.GetAPIVersion(), sample.GetKind()))}
	}
	if version.namespaced && sample.GetNamespace() == "" {
		sample.SetNamespace("default") // what kubectl does
	}
	// Through JSON once more, so that numbers have the types of a decoded request.
	encoded, err := sample.MarshalJSON()
	if err == nil {
		err = sample.UnmarshalJSON(encoded)
	}
	if err != nil {
		return name, []string{err.Error()}
	}

	var problems []string
	unknown := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(sample.Object, version.structural, true, unknown) {
		problems = append(problems, fmt.Sprintf("%s: unknown field", path))
	}
	defaulting.Default(sample.Object, version.structural)

	errs := validation.ValidateObjectMetaAccessor(sample, version.namespaced, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, schemavalidation.ValidateCustomResource(nil, sample.Object, version.schema)...)
	errs = append(errs, structurallisttype.ValidateListSetsAndMaps(nil, version.structural, sample.Object)...)
	// The apiserver, too, leaves the rules out when the shape is already wrong.
	if len(errs) == 0 && version.rules != nil {
		broken, _ := version.rules.Validate(context.Background(), nil, version.structural, sample.Object, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, broken...)
	}
	for _, err := range errs {
		problems = append(problems, err.Error())
	}
	return name, problems
}

func kindKey(apiVersion, kind string) string {
	return apiVersion + ", " + kind
}
