//! The table of actions as an OpenAPI 3.1 document, for tools that read one.
//!
//! API 3.0 has one path and tells actions apart by a header, which OpenAPI cannot say. So every action
//! has an alias path of its own; the server takes any path of a request that names its action.

use serde_json::{Map, Value, json};

use super::action::{self, Action};
use super::field::{Declared, Field, Kind, LONGEST_TOKEN, MOST_ENTRIES};

/// The document.
pub fn document() -> Value {
    let paths: Map<String, Value> = action::all()
        .map(|action| (alias(action), json!({"post": operation(action)})))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Peerway, API 3.0",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Requests are signed with TC3-HMAC-SHA256, which no security scheme of \
                OpenAPI describes. The vendor's clients call the path `/`; the paths here are aliases."
        },
        "paths": paths,
        "components": {"schemas": {"Error": error_schema()}}
    })
}

/// The alias path of an action.
pub fn alias(action: &Action) -> String {
    let (service, version) = (action.product.service(), action.product.version());
    format!("/{service}/{version}/{}", action.name)
}

fn operation(action: &Action) -> Value {
    let header = |name: &str, schema: Value| json!({"name": name, "in": "header", "required": true, "schema": schema});
    let mut parameters = vec![
        header("X-TC-Action", json!({"const": action.name})),
        header("X-TC-Version", json!({"const": action.product.version()})),
    ];
    if action.needs_region() {
        let regions: Vec<&str> = model::Region::ALL
            .iter()
            .map(|region| region.long())
            .collect();
        parameters.push(header("X-TC-Region", json!({"enum": regions})));
    }
    let answer = object(action.answer, Use::Answer);
    json!({
        "operationId": format!("{}.{}", action.product.service(), action.name),
        "tags": [action.product.service()],
        "parameters": parameters,
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": object(action.fields, Use::Request)}}
        },
        "responses": {"200": {
            "description": "The answer, or the error; the HTTP status does not tell which.",
            "content": {"application/json": {"schema": {"oneOf": [
                envelope(answer),
                {"$ref": "#/components/schemas/Error"}
            ]}}}
        }}
    })
}

/// Whether something is asked for or answered: lists and numbers are bounded in requests only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Request,
    Answer,
}

fn envelope(mut members: Value) -> Value {
    members["properties"]["RequestId"] = json!({"type": "string", "format": "uuid"});
    if let Some(required) = members["required"].as_array_mut() {
        required.push(json!("RequestId"));
    }
    json!({
        "type": "object",
        "properties": {"Response": members},
        "required": ["Response"],
        "additionalProperties": false
    })
}

fn error_schema() -> Value {
    let error = json!({
        "type": "object",
        "properties": {"Code": {"type": "string"}, "Message": {"type": "string"}},
        "required": ["Code", "Message"],
        "additionalProperties": false
    });
    envelope(json!({
        "type": "object",
        "properties": {"Error": error},
        "required": ["Error"],
        "additionalProperties": false
    }))
}

fn object(fields: &[Field], of: Use) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.to_owned(), schema(&field.kind, of)))
        .collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false
    })
}

fn schema(kind: &Kind, of: Use) -> Value {
    let as_declared = |declared: &Declared, plain: Value, text: Value| match declared {
        Declared::Plain => plain,
        Declared::AsText => text,
    };
    match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Id(prefix) => {
            json!({"type": "string", "pattern": format!("^{prefix}[a-z0-9]{{8}}$")})
        }
        Kind::Name => {
            json!({"type": "string", "minLength": 1, "maxLength": model::Name::MAX_CHARS})
        }
        Kind::Word(words) => json!({"enum": words}),
        Kind::Integer { least, most } => match of {
            Use::Request => json!({"type": "integer", "minimum": least, "maximum": most}),
            Use::Answer => json!({"type": "integer", "minimum": least}),
        },
        Kind::Limit(declared) => as_declared(
            declared,
            json!({"type": "integer", "minimum": 1, "maximum": MOST_ENTRIES}),
            json!({"type": "string", "pattern": "^([1-9][0-9]?|100)$"}),
        ),
        Kind::Offset(declared) => as_declared(
            declared,
            json!({"type": "integer", "minimum": 0, "maximum": i64::MAX}),
            json!({"type": "string", "pattern": "^[0-9]{1,9}$"}),
        ),
        Kind::Boolean(declared) => as_declared(
            declared,
            json!({"type": "boolean"}),
            json!({"enum": ["true", "false"]}),
        ),
        Kind::List { of: item, most } => match of {
            Use::Request => {
                json!({"type": "array", "items": schema(item, of), "maxItems": most})
            }
            Use::Answer => json!({"type": "array", "items": schema(item, of)}),
        },
        Kind::Object(fields) => object(fields, of),
        Kind::Filters(names) => filters(names),
        Kind::ClientToken => {
            json!({"type": "string", "pattern": format!("^[!-~]{{1,{LONGEST_TOKEN}}}$")})
        }
    }
}

fn filters(names: &[&str]) -> Value {
    let (patterns, words): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| name.ends_with('*'));
    let mut name = vec![json!({"enum": words})];
    for pattern in patterns {
        let prefix = pattern.trim_end_matches('*');
        name.push(json!({"type": "string", "pattern": format!("^{prefix}.")}));
    }
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "Name": {"anyOf": name},
                "Values": {"type": "array", "items": {"type": "string"}}
            },
            "required": ["Name", "Values"],
            "additionalProperties": false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_path_with_its_parameters_and_its_answer() {
        let document = document();
        assert_eq!(
            document["paths"].as_object().unwrap().len(),
            action::all().count()
        );
        for action in action::all() {
            let operation = &document["paths"][alias(action)]["post"];
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            for field in action.fields {
                assert!(body["properties"][field.name].is_object(), "{}", field.name);
            }
            let answers = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let answer = &answers["oneOf"][0]["properties"]["Response"];
            let required = answer["required"].as_array().unwrap();
            assert!(required.contains(&json!("RequestId")), "{}", action.name);
            assert_eq!(required.len(), action.answer.len() + 1, "{}", action.name);
        }
    }
}
