//! Tensors whose type, shape and data do not fit each other.

use onnx_quant::proto::{
    AttributeProto, ModelProto, TensorProto, attribute_proto::AttributeType, tensor_proto, tensor_proto::DataType,
};

use prost::Message;

use crate::{
    malformed::attempt::{quantized_proto, refusal},
    malformed::build::{claimed, floats, graph, int, ints, model, node, value, weight, with},
};

const FLOAT: i32 = DataType::Float as i32;

fn with_weight(weight: TensorProto) -> ModelProto {
    model(graph(vec![node("MatMul", &["x", "w"], &["y"])], vec![weight]))
}

fn assert_unchanged(model: &ModelProto) {
    let quantized = quantized_proto(model).expect("it is valid");
    // As bytes: a NaN is not equal to itself.
    assert!(quantized.encode_to_vec() == model.encode_to_vec(), "{quantized:?}");
}

fn a_negative_dimension_is_an_error() {
    let error = refusal(&with_weight(claimed("w", FLOAT, &[-1, 4])));
    assert_eq!(error, "tensor 'w': shape [-1, 4] has a negative dimension");
    assert!(refusal(&with_weight(claimed("w", FLOAT, &[i64::MIN]))).contains("negative dimension"));
}

fn dimensions_whose_product_overflows_are_an_error_whatever_the_type() {
    for data_type in [FLOAT, DataType::String as i32, 99, DataType::Int4 as i32, 0] {
        for dims in [&[1 << 40, 1 << 40][..], &[i64::MAX, 3], &[1 << 32, 1 << 32, 1], &[0, 1 << 40, 1 << 40]] {
            let error = refusal(&with_weight(claimed("w", data_type, dims)));
            assert!(error.contains("more elements than can be addressed"), "{error}");
        }
    }
}

fn sizes_beside_a_zero_may_be_large_in_any_order() {
    // Products of some of the sizes are taken when the axes are rearranged.
    for dims in [&[0, 1 << 40][..], &[1 << 40, 0], &[1 << 29, 0, 1 << 29]] {
        let arranged = vec![
            node("Transpose", &["w"], &["t"]),
            with(node("Flatten", &["t"], &["f"]), vec![int("axis", 1)]),
            with(node("Flatten", &["w"], &["g"]), vec![int("axis", -1)]),
            node("MatMul", &["x", "f"], &["y"]),
            node("MatMul", &["x", "g"], &["z"]),
        ];
        assert_unchanged(&model(graph(arranged, vec![claimed("w", FLOAT, dims)])));
    }
}

fn a_huge_shape_without_data_is_an_error_and_no_allocation() {
    let error = refusal(&with_weight(claimed("w", FLOAT, &[1 << 20, 1 << 20])));
    assert_eq!(error, "tensor 'w': Float of shape [1048576, 1048576] takes 4398046511104 bytes, but there are 0");
}

fn a_shape_of_a_million_dimensions_is_no_error_of_a_million_numbers() {
    let error = refusal(&with_weight(claimed("w", FLOAT, &vec![1; 1_000_000])));
    assert_eq!(
        error,
        "tensor 'w': Float of shape [1, 1, 1, 1, 1, 1, 1, 1] and 999992 more takes 4 bytes, but there are 0"
    );
}

fn data_of_another_length_is_an_error() {
    let raw = |length: usize| TensorProto { raw_data: Some(vec![0; length].into()), ..claimed("w", FLOAT, &[4, 4]) };
    for length in [1, 63, 65, 128] {
        let error = refusal(&with_weight(raw(length)));
        assert_eq!(error, format!("tensor 'w': Float of shape [4, 4] takes 64 bytes, but there are {length}"));
    }
    let typed = TensorProto { float_data: vec![0.5; 15], ..claimed("w", FLOAT, &[4, 4]) };
    assert!(refusal(&with_weight(typed)).contains("takes 64 bytes, but there are 60"));
    let wrong_field = TensorProto { double_data: vec![0.5; 16], ..claimed("w", FLOAT, &[4, 4]) };
    assert!(refusal(&with_weight(wrong_field)).contains("takes 64 bytes, but there are 0"));
}

fn a_constant_nodes_data_of_another_length_is_an_error_that_names_the_node() {
    let tensor = TensorProto { raw_data: Some(vec![0; 3].into()), ..claimed("", FLOAT, &[1]) };
    let mut constant = with(node("Constant", &[], &["w"]), vec![value("value", tensor)]);
    constant.name = Some("c".to_owned());
    let error = refusal(&model(graph(vec![constant, node("MatMul", &["x", "w"], &["y"])], vec![])));
    assert_eq!(error, "Constant 'c': tensor '': Float of shape [1] takes 4 bytes, but there are 3");
}

fn weights_of_types_that_are_not_float_are_left_alone() {
    let text = vec![b"a".to_vec().into(); 4];
    assert_unchanged(&with_weight(TensorProto { string_data: text, ..claimed("w", DataType::String as i32, &[2, 2]) }));
    for data_type in [0, 29, 1000, -1, i32::MAX, i32::MIN] {
        assert_unchanged(&with_weight(claimed("w", data_type, &[2, 2])));
    }
}

fn a_segment_of_a_tensor_is_left_alone() {
    let segment = Some(tensor_proto::Segment { begin: Some(0), end: Some(4) });
    let raw_data = Some(vec![1; 16].into());
    assert_unchanged(&with_weight(TensorProto { segment, raw_data, ..claimed("w", FLOAT, &[64, 64]) }));
}

fn weights_without_elements_or_axes_are_left_alone() {
    assert_unchanged(&with_weight(claimed("w", FLOAT, &[0, 4])));
    assert_unchanged(&with_weight(weight("w", &[])));
    assert_unchanged(&with_weight(weight("w", &[1])));
}

fn constant_nodes_that_are_ambiguous_are_left_alone() {
    let matrix = || value("value", weight("", &[32, 32]));
    let texts = AttributeProto {
        name: Some("value_string".to_owned()),
        r#type: Some(AttributeType::String as i32),
        s: Some(b"text".to_vec().into()),
        ..AttributeProto::default()
    };
    let constants = [
        with(node("Constant", &[], &["w"]), vec![]),
        with(node("Constant", &[], &["w"]), vec![matrix(), floats("value_floats", &[1.0; 1024])]),
        with(node("Constant", &[], &["w"]), vec![int("value", 1)]),
        with(node("Constant", &[], &["w"]), vec![ints("value_ints", &[1; 1024])]),
        with(node("Constant", &[], &["w"]), vec![texts]),
        with(node("Constant", &["x"], &["w"]), vec![matrix()]),
        with(node("Constant", &[], &["w", "second"]), vec![matrix()]),
        with(node("Constant", &[], &["", "w"]), vec![matrix()]),
    ];
    for constant in constants {
        assert_unchanged(&model(graph(vec![constant, node("MatMul", &["x", "w"], &["y"])], vec![])));
    }
    let mut reads_second = graph(
        vec![
            with(node("Constant", &[], &["w", "v"]), vec![matrix()]),
            node("MatMul", &["x", "w"], &["a"]),
            node("MatMul", &["a", "v"], &["y"]),
        ],
        vec![],
    );
    assert_unchanged(&model(reads_second.clone()));
    // A graph beside the tensor would be left without its operator.
    let mut both = matrix();
    both.g = Some(graph(vec![node("Relu", &["x"], &["y"])], vec![]));
    reads_second.node[0] = with(node("Constant", &[], &["w"]), vec![both]);
    reads_second.node[2] = node("Relu", &["a"], &["y"]);
    assert_unchanged(&model(reads_second));
}

fn weights_that_are_not_finite_are_left_alone() {
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = vec![0.5; 1024];
        values[7] = number;
        assert_unchanged(&with_weight(TensorProto { float_data: values, ..claimed("w", FLOAT, &[32, 32]) }));
    }
    for number in [f32::MAX, f32::MIN_POSITIVE, 1e-45, 0.0, -0.0] {
        let values = vec![number; 1024];
        quantized_proto(&with_weight(TensorProto { float_data: values, ..claimed("w", FLOAT, &[32, 32]) }))
            .expect("these are numbers");
    }
}

crate::tests![
    a_negative_dimension_is_an_error,
    dimensions_whose_product_overflows_are_an_error_whatever_the_type,
    sizes_beside_a_zero_may_be_large_in_any_order,
    a_huge_shape_without_data_is_an_error_and_no_allocation,
    a_shape_of_a_million_dimensions_is_no_error_of_a_million_numbers,
    data_of_another_length_is_an_error,
    a_constant_nodes_data_of_another_length_is_an_error_that_names_the_node,
    weights_of_types_that_are_not_float_are_left_alone,
    a_segment_of_a_tensor_is_left_alone,
    weights_without_elements_or_axes_are_left_alone,
    constant_nodes_that_are_ambiguous_are_left_alone,
    weights_that_are_not_finite_are_left_alone
];
