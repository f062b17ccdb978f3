//! Models of any size in one respect: what grows is their name. For the benchmark and the tests that
//! show that the time, or the work, grows no faster.

use onnx_quant::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TrainingInfoProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_shape_proto, type_proto,
};
use prost::Message;

/// What is done with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Quantize the weights.
    Quantize,
    /// Quantize weights and activations, by ranges of all values.
    Activations,
    /// Raise the opset to 21.
    Upgrade,
    /// Write it as text.
    Print,
}

/// Models that grow in one respect.
pub struct Shape {
    pub name: &'static str,
    pub task: Task,
    /// The size that takes a tenth of a second or so.
    pub size: usize,
    /// The model of a size.
    pub model: fn(usize) -> ModelProto,
}

use Task::{Activations, Print, Quantize, Upgrade};

/// All of them.
pub const SHAPES: &[Shape] = &[
    Shape { name: "operators in a row", task: Quantize, size: 10_000, model: row },
    Shape { name: "operators in a row", task: Activations, size: 5_000, model: row },
    Shape { name: "operators in a row", task: Upgrade, size: 10_000, model: row },
    Shape { name: "operators in a row", task: Print, size: 10_000, model: row },
    Shape { name: "moves between layers", task: Activations, size: 5_000, model: moves },
    Shape { name: "layers in a row", task: Activations, size: 500, model: layers },
    Shape { name: "If bodies", task: Quantize, size: 1_000, model: bodies },
    Shape { name: "If bodies", task: Activations, size: 500, model: bodies },
    Shape { name: "functions", task: Quantize, size: 2_000, model: functions },
    Shape { name: "functions", task: Upgrade, size: 2_000, model: functions },
    Shape { name: "functions that call the next", task: Quantize, size: 2_000, model: calls },
    Shape { name: "functions that call the next", task: Upgrade, size: 2_000, model: calls },
    Shape { name: "overloads of a function", task: Quantize, size: 1_000, model: overloads },
    Shape { name: "unread constants before IR version 4", task: Activations, size: 4_000, model: unread },
    Shape { name: "elements in a typed field", task: Activations, size: 500_000, model: typed },
    Shape { name: "inputs of a Concat", task: Quantize, size: 4_000, model: concat },
    Shape { name: "inputs of a Concat", task: Activations, size: 4_000, model: concat },
    Shape { name: "outputs of a Split", task: Upgrade, size: 4_000, model: split },
    Shape { name: "outputs of a Split", task: Activations, size: 4_000, model: split },
    Shape { name: "weights", task: Quantize, size: 5_000, model: weights },
    Shape { name: "weights", task: Activations, size: 2_000, model: weights },
    Shape { name: "constants that are no weights", task: Quantize, size: 20_000, model: constants },
    Shape { name: "readers of a weight", task: Quantize, size: 4_000, model: readers },
    Shape { name: "readers of a weight", task: Activations, size: 4_000, model: readers },
    Shape { name: "Identities of a value", task: Activations, size: 4_000, model: identities },
    Shape { name: "operators that are rewritten", task: Upgrade, size: 4_000, model: rewritten },
    Shape { name: "readers of a scalar that are rewritten", task: Upgrade, size: 4_000, model: resized },
    Shape { name: "inputs and outputs", task: Quantize, size: 10_000, model: interfaces },
    Shape { name: "inputs and outputs", task: Activations, size: 4_000, model: interfaces },
    Shape { name: "opset imports", task: Quantize, size: 10_000, model: imports },
    Shape { name: "metadata", task: Quantize, size: 20_000, model: metadata },
    Shape { name: "trained names", task: Quantize, size: 2_000, model: trained },
    Shape { name: "trained names", task: Activations, size: 2_000, model: trained },
    Shape { name: "stated types", task: Activations, size: 10_000, model: stated },
    Shape { name: "bytes of a name", task: Activations, size: 100_000, model: long_name },
];

fn row(size: usize) -> ModelProto {
    let nodes = (0..size).map(|index| node("Relu", &[&value(index)], &[&value(index + 1)]));
    let last = node("MatMul", &[&value(size), "w"], &["y"]);
    model(13, graph(nodes.chain([last]).collect(), vec![weight("w", 64)], &["v0"], &["y"]))
}

fn moves(size: usize) -> ModelProto {
    let first = node("MatMul", &["x", "w"], &["v0"]);
    let moves =
        (0..size).map(|index| node("Transpose", &[&value(index)], &[&value(index + 1)]).with_ints("perm", &[1, 0]));
    let last = node("MatMul", &[&value(size), "w2"], &["y"]);
    let nodes = std::iter::once(first).chain(moves).chain([last]).collect();
    model(13, graph(nodes, vec![weight("w", 8), weight("w2", 8)], &["x"], &["y"]))
}

fn layers(size: usize) -> ModelProto {
    let nodes = (0..size).flat_map(|index| {
        let (product, weight) = (format!("p{index}"), format!("w{index}"));
        [node("MatMul", &[&value(index), &weight], &[&product]), node("Relu", &[&product], &[&value(index + 1)])]
    });
    let weights = (0..size).map(|index| weight(&format!("w{index}"), 16)).collect();
    model(13, graph(nodes.collect(), weights, &["v0"], &[&value(size)]))
}

fn bodies(size: usize) -> ModelProto {
    let body = |index: usize| {
        let nodes = vec![node("MatMul", &["x", "w"], &["product"]), node("Relu", &["product"], &["out"])];
        let mut body = graph(nodes, vec![weight("w", 16)], &[], &["out"]);
        body.name = Some(format!("body {index}"));
        body
    };
    let nodes = (0..size).map(|index| {
        let node = node("If", &["c"], &[&value(index)]);
        node.with_graph("then_branch", body(index)).with_graph("else_branch", body(index))
    });
    let outputs: Vec<String> = (0..size).map(value).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    model(13, graph(nodes.collect(), vec![], &["c", "x"], &outputs))
}

fn function(name: String, nodes: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name),
        domain: Some("own".to_owned()),
        input: vec!["a".to_owned(), "b".to_owned()],
        output: vec!["z".to_owned()],
        node: nodes,
        opset_import: vec![opset("", 11), opset("own", 1)],
        ..FunctionProto::default()
    }
}

fn call(name: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto { domain: Some("own".to_owned()), ..node(name, inputs, outputs) }
}

fn functions(size: usize) -> ModelProto {
    let nodes = (0..size).map(|index| call(&format!("f{index}"), &[&value(index), "w"], &[&value(index + 1)]));
    let graph = graph(nodes.collect(), vec![weight("w", 16)], &["v0"], &[&value(size)]);
    let body = || vec![node("MatMul", &["a", "b"], &["m"]), node("Softmax", &["m"], &["z"]).with_int("axis", 1)];
    let functions = (0..size).map(|index| function(format!("f{index}"), body())).collect();
    ModelProto { functions, opset_import: vec![opset("", 11), opset("own", 1)], ..model(11, graph) }
}

fn calls(size: usize) -> ModelProto {
    let nodes = vec![call("f0", &["x", "w"], &["y"])];
    let functions = (0..size).map(|index| match index + 1 == size {
        true => function(format!("f{index}"), vec![node("MatMul", &["a", "b"], &["z"])]),
        false => {
            let nodes = vec![node("Relu", &["a"], &["r"]), call(&format!("f{}", index + 1), &["r", "b"], &["z"])];
            function(format!("f{index}"), nodes)
        }
    });
    let graph = graph(nodes, vec![weight("w", 16)], &["x"], &["y"]);
    ModelProto {
        functions: functions.collect(),
        opset_import: vec![opset("", 11), opset("own", 1)],
        ..model(11, graph)
    }
}

fn overloads(size: usize) -> ModelProto {
    let overload = |index: usize| Some(format!("o{index}"));
    let nodes = (0..size)
        .map(|index| NodeProto { overload: overload(index), ..call("f", &[&value(index), "w"], &[&value(index + 1)]) });
    let graph = graph(nodes.collect(), vec![weight("w", 16)], &["v0"], &[&value(size)]);
    let body = || vec![node("MatMul", &["a", "b"], &["z"])];
    let functions = (0..size)
        .map(|index| FunctionProto { overload: overload(index), ..function("f".to_owned(), body()) })
        .collect();
    ModelProto { functions, opset_import: vec![opset("", 11), opset("own", 1)], ..model(11, graph) }
}

fn unread(size: usize) -> ModelProto {
    let nodes = (0..size).flat_map(|index| {
        let (sum, constant) = (format!("s{index}"), format!("c{index}"));
        [node("Add", &[&constant, &constant], &[&sum]), node("Mul", &[&value(index), &sum], &[&value(index + 1)])]
    });
    let last = node("MatMul", &[&value(size), "w"], &["y"]);
    let constants: Vec<TensorProto> =
        (0..size).map(|index| floats(&format!("c{index}"), &[1])).chain([weight("w", 16)]).collect();
    let inputs: Vec<String> =
        std::iter::once("v0".to_owned()).chain(constants.iter().map(|tensor| tensor.name().to_owned())).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let graph = graph(nodes.chain([last]).collect(), constants, &inputs, &["y"]);
    ModelProto { ir_version: Some(3), ..model(8, graph) }
}

fn typed(size: usize) -> ModelProto {
    let tensor = TensorProto {
        name: Some("w".to_owned()),
        data_type: Some(10),
        dims: vec![(size / 64) as i64, 64],
        int32_data: (0..size / 64 * 64).map(|index| 0x3000 + (index % 512) as i32).collect(),
        ..TensorProto::default()
    };
    model(13, graph(vec![node("MatMul", &["x", "w"], &["y"])], vec![tensor], &["x"], &["y"]))
}

fn concat(size: usize) -> ModelProto {
    let parts: Vec<String> = (0..size).map(value).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let makers = parts.iter().map(|part| node("Sigmoid", &["a"], &[part]));
    let first = node("MatMul", &["x", "w"], &["a"]);
    let joined = [node("Concat", &parts, &["j"]).with_int("axis", 0), node("MatMul", &["j", "w2"], &["y"])];
    let nodes = std::iter::once(first).chain(makers).chain(joined).collect();
    model(13, graph(nodes, vec![weight("w", 16), weight("w2", 16)], &["x"], &["y"]))
}

fn split(size: usize) -> ModelProto {
    let parts: Vec<String> = (0..size).map(value).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let readers = (0..size).map(|index| node("MatMul", &[&value(index), "w2"], &[&format!("m{index}")]));
    let sizes = vec![1; size];
    let first = [
        node("MatMul", &["x", "w"], &["a"]),
        node("Split", &["a"], &parts).with_int("axis", 0).with_ints("split", &sizes),
    ];
    let outputs: Vec<String> = (0..size).map(|index| format!("m{index}")).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    model(
        11,
        graph(first.into_iter().chain(readers).collect(), vec![weight("w", 16), weight("w2", 16)], &["x"], &outputs),
    )
}

fn weights(size: usize) -> ModelProto {
    let nodes = (0..size).map(|index| node("MatMul", &[&value(index), &format!("w{index}")], &[&value(index + 1)]));
    let weights = (0..size).map(|index| weight(&format!("w{index}"), 16)).collect();
    model(11, graph(nodes.collect(), weights, &["v0"], &[&value(size)]))
}

fn constants(size: usize) -> ModelProto {
    let nodes = (0..size).map(|index| node("Add", &[&value(index), &format!("c{index}")], &[&value(index + 1)]));
    let constants = (0..size).map(|index| floats(&format!("c{index}"), &[1])).chain([weight("w", 16)]).collect();
    let last = node("MatMul", &[&value(size), "w"], &["y"]);
    model(13, graph(nodes.chain([last]).collect(), constants, &["v0"], &["y"]))
}

fn readers(size: usize) -> ModelProto {
    let nodes = (0..size).map(|index| node("MatMul", &[&value(index), "w"], &[&value(index + 1)]));
    model(11, graph(nodes.collect(), vec![weight("w", 16)], &["v0"], &[&value(size)]))
}

fn identities(size: usize) -> ModelProto {
    let nodes = (0..size).flat_map(|index| {
        let same = format!("same{index}");
        [node("Identity", &["x"], &[&same]), node("Add", &[&value(index), &same], &[&value(index + 1)])]
    });
    let last = node("MatMul", &[&value(size), "w"], &["y"]);
    model(13, graph(nodes.chain([last]).collect(), vec![weight("w", 16)], &["x", "v0"], &["y"]))
}

fn rewritten(size: usize) -> ModelProto {
    let nodes = (0..size).map(|index| {
        node("Clip", &[&value(index)], &[&value(index + 1)]).with_float("min", 0.0).with_float("max", 6.0)
    });
    model(8, graph(nodes.collect(), vec![], &["v0"], &[&value(size)]))
}

fn resized(size: usize) -> ModelProto {
    let nodes = (0..size).map(|index| node("Resize", &["x", "scales"], &[&value(index)]));
    let outputs: Vec<String> = (0..size).map(value).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let mut scales = floats("scales", &[2]);
    scales.raw_data = Some([2f32, 2.0].iter().flat_map(|scale| scale.to_le_bytes()).collect::<Vec<u8>>().into());
    model(10, graph(nodes.collect(), vec![scales], &["x"], &outputs))
}

fn interfaces(size: usize) -> ModelProto {
    let (inputs, outputs): (Vec<String>, Vec<String>) =
        (0..size).map(|index| (format!("x{index}"), format!("y{index}"))).unzip();
    let nodes = inputs.iter().zip(&outputs).map(|(input, output)| node("MatMul", &[input, "w"], &[output])).collect();
    let (inputs, outputs): (Vec<&str>, Vec<&str>) =
        inputs.iter().zip(&outputs).map(|(input, output)| (input.as_str(), output.as_str())).unzip();
    model(13, graph(nodes, vec![weight("w", 16)], &inputs, &outputs))
}

fn imports(size: usize) -> ModelProto {
    let domains = (0..size).map(|index| opset(&format!("domain{index}"), 1));
    ModelProto { opset_import: std::iter::once(opset("", 11)).chain(domains).collect(), ..row(size) }
}

fn metadata(size: usize) -> ModelProto {
    let entry = |index: usize| StringStringEntryProto { key: Some(format!("k{index}")), value: Some("v".to_owned()) };
    ModelProto { metadata_props: (0..size).map(entry).collect(), ..row(1) }
}

fn trained(size: usize) -> ModelProto {
    let key = |index: usize| StringStringEntryProto { key: Some(format!("w{index}")), value: Some("g".to_owned()) };
    let info = TrainingInfoProto { update_binding: (0..size).map(key).collect(), ..TrainingInfoProto::default() };
    ModelProto { training_info: vec![info], ..layers(size) }
}

fn stated(size: usize) -> ModelProto {
    let mut model = row(size);
    if let Some(graph) = &mut model.graph {
        graph.value_info = (1..size).map(|index| info(&value(index))).collect();
    }
    model
}

fn long_name(size: usize) -> ModelProto {
    let long = "n".repeat(size);
    let nodes = vec![node("MatMul", &["x", "w"], &[&long]), node("MatMul", &[&long, "w2"], &["y"])];
    model(13, graph(nodes, vec![weight("w", 256), weight("w2", 256)], &["x"], &["y"]))
}

/// The name of a value in a row of them.
fn value(index: usize) -> String {
    format!("v{index}")
}

fn node(op_type: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op_type.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: outputs.iter().map(|&name| name.to_owned()).collect(),
        ..NodeProto::default()
    }
}

/// A node's attributes, one after the other.
trait WithAttributes: Sized {
    fn with(self, name: &str, kind: AttributeType, attribute: AttributeProto) -> Self;

    fn with_int(self, name: &str, int: i64) -> Self {
        self.with(name, AttributeType::Int, AttributeProto { i: Some(int), ..AttributeProto::default() })
    }

    fn with_ints(self, name: &str, ints: &[i64]) -> Self {
        self.with(name, AttributeType::Ints, AttributeProto { ints: ints.to_vec(), ..AttributeProto::default() })
    }

    fn with_float(self, name: &str, float: f32) -> Self {
        self.with(name, AttributeType::Float, AttributeProto { f: Some(float), ..AttributeProto::default() })
    }

    fn with_graph(self, name: &str, graph: GraphProto) -> Self {
        self.with(name, AttributeType::Graph, AttributeProto { g: Some(graph), ..AttributeProto::default() })
    }
}

impl WithAttributes for NodeProto {
    fn with(mut self, name: &str, kind: AttributeType, mut attribute: AttributeProto) -> Self {
        attribute.name = Some(name.to_owned());
        attribute.set_type(kind);
        self.attribute.push(attribute);
        self
    }
}

/// A square matrix.
fn weight(name: &str, size: usize) -> TensorProto {
    floats(name, &[size, size])
}

fn floats(name: &str, shape: &[usize]) -> TensorProto {
    let numbers = (0..shape.iter().product::<usize>()).map(|index| (index % 13) as f32 * 0.01 - 0.05);
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(1),
        dims: shape.iter().map(|&size| size as i64).collect(),
        raw_data: Some(numbers.flat_map(f32::to_le_bytes).collect::<Vec<u8>>().into()),
        ..TensorProto::default()
    }
}

fn info(name: &str) -> ValueInfoProto {
    let dim = |name: &str| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimParam(name.to_owned())),
        ..Default::default()
    };
    let shape = TensorShapeProto { dim: vec![dim("a"), dim("b")] };
    let tensor = type_proto::Tensor { elem_type: Some(1), shape: Some(shape) };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(ty), ..ValueInfoProto::default() }
}

fn graph(node: Vec<NodeProto>, initializer: Vec<TensorProto>, inputs: &[&str], outputs: &[&str]) -> GraphProto {
    GraphProto {
        node,
        initializer,
        input: inputs.iter().map(|name| info(name)).collect(),
        output: outputs.iter().map(|name| info(name)).collect(),
        name: Some("graph".to_owned()),
        ..GraphProto::default()
    }
}

fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version) }
}

fn model(version: i64, graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset("", version)],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

impl Shape {
    /// The bytes of the model of a size.
    pub fn bytes(&self, size: usize) -> Vec<u8> {
        (self.model)(size).encode_to_vec()
    }
}
