//! Finds the fields that the schema does not name: prost drops them, and nothing may be lost
//! without a word.

use std::collections::BTreeMap;

use prost::encoding::{WireType, decode_key, decode_varint};

include!(concat!(env!("OUT_DIR"), "/fields.rs"));

/// A message of the schema.
struct Message {
    name: &'static str,
    fields: &'static [Field],
}

/// A field of a message; `message` is the index of the message it holds, if it holds one.
struct Field {
    number: u32,
    message: Option<usize>,
}

/// Deeper than prost decodes, so that whatever was decoded is also searched.
const MAX_DEPTH: usize = 101;

/// Kinds of fields that are listed: of a broken file nobody wants to know them all.
const LISTED: usize = 20;

/// The unknown fields of an encoded model, each as message and field number with how often it
/// occurs. What follows a malformed place is not looked at: decoding reports that.
pub(crate) fn find(model: &[u8]) -> Vec<String> {
    let root = MESSAGES.iter().position(|message| message.name == "ModelProto");
    let mut found = BTreeMap::new();
    if let Some(root) = root {
        search(model, &MESSAGES[root], MAX_DEPTH, &mut found);
    }
    let kinds = found.len();
    let listed = found.into_iter().take(LISTED).map(|((message, number), count)| match count {
        1 => format!("{message} field {number}"),
        _ => format!("{message} field {number} ({count} times)"),
    });
    let others = (kinds > LISTED).then(|| format!("{} other fields", kinds - LISTED));
    listed.chain(others).collect()
}

type Found = BTreeMap<(&'static str, u32), usize>;

/// `None` as soon as the bytes make no sense.
fn search(mut rest: &[u8], message: &Message, depth: usize, found: &mut Found) -> Option<()> {
    while !rest.is_empty() {
        let (number, wire_type) = decode_key(&mut rest).ok()?;
        let content = match wire_type {
            WireType::Varint => {
                decode_varint(&mut rest).ok()?;
                &[]
            }
            WireType::ThirtyTwoBit => rest.split_off(..4)?,
            WireType::SixtyFourBit => rest.split_off(..8)?,
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                rest.split_off(..length)?
            }
            WireType::StartGroup | WireType::EndGroup => &[],
        };
        match message.fields.iter().find(|field| field.number == number) {
            None => *found.entry((message.name, number)).or_default() += 1,
            Some(Field { message: Some(child), .. }) if depth > 0 => {
                search(content, &MESSAGES[*child], depth - 1, found)?;
            }
            Some(_) => {}
        }
    }
    Some(())
}
