//! Graphs and functions: what goes in and out, what is declared, and the nodes. The counterpart of `scope.rs`.

use super::{Read, Reader, attribute::Parameter};
use crate::proto::{FunctionProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// The type of a value, or an initializer.
struct Declared {
    info: ValueInfoProto,
    tensor: Option<TensorProto>,
}

impl Reader<'_> {
    pub fn graph(&mut self) -> Read<GraphProto> {
        let mut graph = GraphProto { name: Some(self.name("the name of a graph")?), ..GraphProto::default() };
        if self.next_is("(") {
            for input in self.enclosed("(", ")", Self::declared)? {
                graph.input.push(input.info);
                graph.initializer.extend(input.tensor);
            }
        }
        self.expect("=>")?;
        graph.output = self.enclosed("(", ")", Self::value_info)?;
        if self.next_is("<") {
            for declared in self.enclosed("<", ">", Self::declared)? {
                match declared.tensor {
                    Some(tensor) => graph.initializer.push(tensor),
                    None => graph.value_info.push(declared.info),
                }
            }
        }
        graph.node = self.nodes()?;
        Ok(graph)
    }

    pub fn function(&mut self) -> Read<FunctionProto> {
        let mut function = FunctionProto::default();
        if self.next_is("<") {
            self.function_header(&mut function)?;
        }
        function.name = Some(self.name("the name of a function")?);
        if self.next_is("<") {
            for parameter in self.enclosed("<", ">", Self::parameter)? {
                match parameter {
                    Parameter::Required(name) => function.attribute.push(name),
                    Parameter::Default(attribute) => function.attribute_proto.push(*attribute),
                }
            }
        }
        function.input = self.function_interface(&mut function.value_info)?;
        self.expect("=>")?;
        function.output = self.function_interface(&mut function.value_info)?;
        if self.next_is("<") {
            function.value_info.extend(self.enclosed("<", ">", Self::value_info)?);
        }
        function.node = self.nodes()?;
        Ok(function)
    }

    /// Names; a type before one says what the value is.
    fn function_interface(&mut self, infos: &mut Vec<ValueInfoProto>) -> Read<Vec<String>> {
        self.enclosed("(", ")", |reader| {
            let info = reader.value_info()?;
            let name = info.name().to_owned();
            infos.extend(Some(info).filter(|info| info.r#type.is_some()));
            Ok(name)
        })
    }

    fn value_info(&mut self) -> Read<ValueInfoProto> {
        let r#type = if self.next_is_type_of_value() { Some(self.type_proto()?) } else { None };
        Ok(ValueInfoProto { r#type, name: Some(self.name("the name of a value")?), ..ValueInfoProto::default() })
    }

    /// A value, with its elements if it is an initializer.
    fn declared(&mut self) -> Read<Declared> {
        let offset = self.here();
        let info = self.value_info()?;
        let tensor = if self.skip("=") { Some(self.initializer(offset, &info)?) } else { None };
        Ok(Declared { info, tensor })
    }

    fn nodes(&mut self) -> Read<Vec<NodeProto>> {
        self.expect("{")?;
        let mut nodes = Vec::new();
        while !self.skip("}") {
            nodes.push(self.node()?);
        }
        Ok(nodes)
    }
}
