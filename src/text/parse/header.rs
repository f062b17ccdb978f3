//! Headers, of a model and of its functions.

use super::{Read, Reader};
use crate::proto::{FunctionProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

impl<'a> Reader<'a> {
    /// What a file says of itself, between angle brackets.
    pub fn model_header(&mut self, model: &mut ModelProto) -> Read<()> {
        self.enclosed_fields(|reader| {
            let before = reader.input;
            match reader.key() {
                Some("ir_version") => model.ir_version = Some(reader.integer()?),
                Some("opset_import") => model.opset_import.extend(reader.opset_import()?),
                Some("producer_name") => model.producer_name = Some(reader.string()?),
                Some("producer_version") => model.producer_version = Some(reader.string()?),
                Some("domain") => model.domain = Some(reader.string()?),
                Some("model_version") => model.model_version = Some(reader.integer()?),
                Some("doc_string") => model.doc_string = Some(reader.string()?),
                Some("metadata_props") => model.metadata_props.extend(reader.string_entries()?),
                _ => {
                    reader.input = before;
                    return Err(reader.expected(
                        "one of ir_version:, opset_import:, producer_name:, producer_version:, domain:, \
                         model_version:, doc_string:, metadata_props:",
                    ));
                }
            }
            Ok(())
        })
    }

    pub fn function_header(&mut self, function: &mut FunctionProto) -> Read<()> {
        self.enclosed_fields(|reader| {
            let before = reader.input;
            match reader.key() {
                Some("opset_import") => function.opset_import.extend(reader.opset_import()?),
                Some("domain") => function.domain = Some(reader.string()?),
                Some("overload") => function.overload = Some(reader.string()?),
                Some("doc_string") => function.doc_string = Some(reader.string()?),
                _ => {
                    reader.input = before;
                    return Err(reader.expected("one of domain:, overload:, doc_string:, opset_import:"));
                }
            }
            Ok(())
        })
    }

    fn enclosed_fields(&mut self, field: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.expect("<")?;
        self.list(field)?;
        if self.skip(">") { Ok(()) } else { Err(self.expected("',' or '>'")) }
    }

    /// A word with a colon behind it.
    fn key(&mut self) -> Option<&'a str> {
        self.word().filter(|_| self.skip(":"))
    }

    fn opset_import(&mut self) -> Read<Vec<OperatorSetIdProto>> {
        self.enclosed("[", "]", |reader| {
            let domain = reader.string()?;
            reader.expect(":")?;
            Ok(OperatorSetIdProto { domain: Some(domain), version: Some(reader.integer()?) })
        })
    }

    /// Pairs of key and value between brackets.
    pub fn string_entries(&mut self) -> Read<Vec<StringStringEntryProto>> {
        self.enclosed("[", "]", |reader| {
            let key = reader.string()?;
            reader.expect(":")?;
            Ok(StringStringEntryProto { key: Some(key), value: Some(reader.string()?) })
        })
    }
}
