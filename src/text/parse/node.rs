//! Nodes: `[name] outputs = domain.Type:overload <attributes> (inputs)`.

use super::{Read, Reader};
use crate::proto::NodeProto;

impl Reader<'_> {
    pub fn node(&mut self) -> Read<NodeProto> {
        let mut node = NodeProto::default();
        if self.skip("[") {
            node.name = self.optional_name()?;
            self.expect("]")?;
        }
        node.output = self.values()?;
        if !self.skip("=") {
            return Err(self.expected(if node.output.is_empty() { "a node or '}'" } else { "',' or '='" }));
        }
        let mut parts = vec![self.name("the type of an operator")?];
        while self.skip(".") {
            parts.push(self.name("a part of an operator's type")?);
        }
        node.op_type = parts.pop();
        node.domain = Some(parts.join(".")).filter(|domain| !domain.is_empty());
        if self.skip(":") {
            node.overload = Some(self.name("the name of an overload")?);
        }
        if self.next_is("<") {
            node.attribute = self.enclosed("<", ">", Self::attribute)?;
        }
        self.expect("(")?;
        node.input = self.values()?;
        if !self.skip(")") {
            return Err(self.expected("the name of a value, ',' or ')'"));
        }
        // They may stand behind the inputs instead.
        if node.attribute.is_empty() && self.next_is("<") {
            node.attribute = self.enclosed("<", ">", Self::attribute)?;
        }
        Ok(node)
    }

    /// Names of values by slot. One that is left out is `""`, or nothing with a comma behind it.
    fn values(&mut self) -> Read<Vec<String>> {
        let mut names = Vec::new();
        loop {
            match self.optional_name()? {
                Some(name) => names.push(name),
                None if self.next_is(",") => names.push(String::new()),
                None => return Ok(names),
            }
            if !self.skip(",") {
                return Ok(names);
            }
        }
    }
}
