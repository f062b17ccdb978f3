//! Compiles `proto/onnx.proto` into the messages of `src/proto.rs` and a table of its fields.

use std::{env, error::Error, fmt::Write, fs, path::PathBuf};

use protox::prost_reflect::{DescriptorPool, Kind};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/onnx.proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let descriptors = protox::compile(["proto/onnx.proto"], ["proto"])?;
    fs::write(out.join("fields.rs"), field_table(&DescriptorPool::from_file_descriptor_set(descriptors.clone())?)?)?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}

/// `MESSAGES`: of every message its name and fields, a field as its number and, where it holds a
/// message, that message's index. prost drops what it does not know; this table finds it.
fn field_table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let messages: Vec<_> = pool.all_messages().filter(|message| !message.is_map_entry()).collect();
    let mut table = format!("static MESSAGES: [Message; {}] = [\n", messages.len());
    for message in &messages {
        write!(table, "    Message {{ name: {:?}, fields: &[", message.name())?;
        for field in message.fields() {
            let child = match field.kind() {
                Kind::Message(child) => messages.iter().position(|other| *other == child),
                _ => None,
            };
            write!(table, "Field {{ number: {}, message: {child:?} }}, ", field.number())?;
        }
        table.push_str("] },\n");
    }
    table.push_str("];\n");
    Ok(table)
}
