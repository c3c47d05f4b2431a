// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// openAPI is the part of an OpenAPI document that a client is made of.
type openAPI struct {
	Paths      map[string]pathItem `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type pathItem struct {
	Parameters []parameter `json:"parameters"`
	Get        *operation  `json:"get"`
	Post       *operation  `json:"post"`
	Put        *operation  `json:"put"`
	Patch      *operation  `json:"patch"`
	Delete     *operation  `json:"delete"`
}

type operation struct {
	ID          string      `json:"operationId"`
	Tags        []string    `json:"tags"`
	Parameters  []parameter `json:"parameters"`
	RequestBody *struct {
		Required bool    `json:"required"`
		Content  content `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content content `json:"content"`
	} `json:"responses"`
}

type parameter struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Schema   schema `json:"schema"`
}

type content map[string]struct {
	Schema *schema `json:"schema"`
}

type schema struct {
	Ref                  string            `json:"$ref"`
	Format               string            `json:"format"`
	Enum                 []any             `json:"enum"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties any               `json:"additionalProperties"`
}

func (s schema) component() string { return s.Ref[strings.LastIndex(s.Ref, "/")+1:] }

// schemaOf is the schema of JSON content, and the name that the document has for it.
func (d openAPI) schemaOf(c content) (s schema, name string, ok bool) {
	media, ok := c["application/json"]
	if !ok || media.Schema == nil {
		return schema{}, "", false
	}
	if media.Schema.Ref == "" {
		return *media.Schema, "", true
	}
	name = media.Schema.component()
	return d.Components.Schemas[name], name, true
}

// shape lists the fields of content, 1 where one is a time. Nil lets everything pass.
func (d openAPI) shape(c content) (shape map[string]int, ok bool) {
	s, _, ok := d.schemaOf(c)
	if !ok || s.Properties == nil {
		return nil, ok
	}
	shape = map[string]int{}
	for name, property := range s.Properties {
		if property.Ref != "" {
			property = d.Components.Schemas[property.component()]
		}
		shape[name] = 0
		if strings.HasPrefix(property.Format, "date") {
			shape[name] = 1
		}
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties != false {
		shape["*"] = 1
	}
	return shape, true
}

// addOperations adds the methods that the page names. Operations of the same name are told apart by their order.
func (c client) addOperations() error {
	seen := map[string]int{}
	for _, url := range slices.Sorted(maps.Keys(c.document.Paths)) {
		item := c.document.Paths[url]
		for _, one := range []struct {
			verb string
			op   *operation
		}{
			{"GET", item.Get}, {"POST", item.Post}, {"PUT", item.Put}, {"PATCH", item.Patch}, {"DELETE", item.Delete},
		} {
			if one.op == nil || len(one.op.Tags) == 0 || classes[one.op.Tags[0]] == "" {
				continue
			}
			if one.op.ID == "" {
				return fmt.Errorf("%s %s has no operationId in the server's OpenAPI document", one.verb, url)
			}
			class, name := classes[one.op.Tags[0]], camel(one.op.ID)
			if nth := seen[class+one.op.ID]; nth > 0 {
				name = fmt.Sprintf("%s_%d", name, nth)
			}
			seen[class+one.op.ID]++
			if !c.names.words[name] {
				continue
			}
			if c.methods[class] == nil {
				c.methods[class] = map[string]string{}
			}
			c.methods[class][name] = c.row(one.verb, url, item.Parameters, one.op)
		}
	}
	return nil
}

// row is what runtime.js makes a method of: the verb, the path, its arguments, how many of them are required, the
// fields of the body and those of the answer.
func (c client) row(verb, url string, shared []parameter, op *operation) string {
	parameters := slices.Concat(shared, op.Parameters)
	required, optional := []string{}, []string{}
	add := func(name string, must bool) {
		if must {
			required = append(required, name)
		} else {
			optional = append(optional, name)
		}
	}
	for _, p := range parameters {
		name := p.Name
		if p.In == "header" {
			name = ":" + name
		}
		add(name, p.Required)
		c.addEnum(pascal(op.ID)+pascal(p.Name)+"Enum", p.Schema.Enum)
	}
	var body content
	if op.RequestBody != nil {
		body = op.RequestBody.Content
		add("", op.RequestBody.Required)
		s, component, _ := c.document.schemaOf(body)
		for field, property := range s.Properties {
			if component != "" {
				c.addEnum(component+pascal(field)+"Enum", property.Enum)
			}
		}
	}
	sent, _ := c.document.shape(body)
	row := []any{verb, url, append(required, optional...), len(required), sent}
	for _, code := range slices.Sorted(maps.Keys(op.Responses)) {
		if strings.HasPrefix(code, "2") {
			if answer, ok := c.document.shape(op.Responses[code].Content); ok {
				row = append(row, answer)
			}
			break
		}
	}
	return asJSON(row)
}

var notInNames = regexp.MustCompile(`\W`)

func (c client) addEnum(name string, values []any) {
	if !c.names.words[name] || values == nil {
		return
	}
	c.enums[name] = map[string]string{}
	for _, v := range values {
		text := fmt.Sprint(v)
		c.enums[name][notInNames.ReplaceAllString(strings.ToUpper(text), "_")] = text
	}
}
