//! Samples from WAV files that are written here byte by byte.

use onnx_quant::{
    Result,
    calibration::{Sample, Samples, samples::SoundOptions},
    ir::DataType,
};

use crate::{samples::files, samples::models};

/// A WAV file of 16-bit integers.
fn wav(rate: u32, channels: u16, amplitudes: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = amplitudes.iter().flat_map(|it| it.to_le_bytes()).collect();
    let frame = channels * 2;
    [
        b"RIFF".as_slice(),
        &(36 + data.len() as u32).to_le_bytes(),
        b"WAVEfmt ",
        &16_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(frame)).to_le_bytes(),
        &frame.to_le_bytes(),
        &16_u16.to_le_bytes(),
        b"data",
        &(data.len() as u32).to_le_bytes(),
        &data,
    ]
    .concat()
}

fn sounds(path: &std::path::Path, dims: &[i64], options: &SoundOptions) -> Result<Vec<Sample>> {
    Samples::sounds(path, &models::with_inputs(&[("wave", DataType::Float, dims)]), options, None)?.collect()
}

fn waveforms_are_from_minus_one_to_one_and_of_one_channel() {
    let place = tempfile::tempdir().expect("a folder");
    files::put(place.path(), "10.wav", wav(16_000, 1, &[0, 16384, -32768, 32767]));
    files::put(place.path(), "2.WAV", wav(16_000, 2, &[16384, 0, -16384, -32768]));
    files::put(place.path(), "notes.txt", "no recording");
    let found = sounds(place.path(), &[0, 0], &SoundOptions::default()).expect("samples");
    assert_eq!(found.iter().map(|it| it.inputs[0].shape()).collect::<Vec<_>>(), [[1, 2], [1, 4]]);
    assert_eq!(files::values(&found[0]), [0.25, -0.75]);
    assert_eq!(files::values(&found[1]), [0.0, 0.5, -1.0, 32767.0 / 32768.0]);
    // Silence behind what is too short, and the beginning of what is too long.
    let fixed = sounds(place.path(), &[1, 1, 3], &SoundOptions::default()).expect("samples");
    assert_eq!(files::values(&fixed[0]), [0.25, -0.75, 0.0]);
    assert_eq!(files::values(&fixed[1]), [0.0, 0.5, -1.0]);
    assert_eq!(fixed[0].inputs[0].shape(), [1, 1, 3]);
}

fn what_is_no_recording_or_of_another_rate_is_passed_over_or_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let good = wav(16_000, 1, &[1, 2, 3, 4]);
    files::put(place.path(), "1.wav", &good[..good.len() - 3]);
    files::put(place.path(), "2.wav", "RIFF");
    files::put(place.path(), "3.wav", wav(8_000, 1, &[1, 2]));
    files::put(place.path(), "4.wav", &good);
    files::put(place.path(), "5.wav", wav(16_000, 1, &[]));
    let options = SoundOptions::default().with_rate(Some(16_000)).with_refuse_broken(false);
    let model = models::with_inputs(&[("wave", DataType::Float, &[1, 0])]);
    let mut samples = Samples::sounds(place.path(), &model, &options, None).expect("samples");
    assert_eq!(
        samples.by_ref().map(|sample| sample.expect("a recording").inputs[0].shape()).collect::<Vec<_>>(),
        [[1, 4]]
    );
    let skipped: Vec<&str> = samples.skipped().iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
    assert!(skipped[2].contains("has 8000 samples a second, and not 16000"), "{skipped:?}");
    let error = sounds(place.path(), &[1, 0], &options.clone().with_refuse_broken(true));
    assert!(error.expect_err("a damaged one").to_string().contains("1.wav: "));
    let error = sounds(&place.path().join("3.wav"), &[1, 0], &options).expect_err("another rate").to_string();
    assert!(error.contains("none of the files can be taken as a recording"), "{error}");
    for (dims, expected) in [
        (&[1, 2, 0][..], "a waveform is one row"),
        (&[1, 1, 1, 0], "a waveform is one row"),
        (&[], "is a single number"),
    ] {
        let error = sounds(place.path(), dims, &options).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    assert!(sounds(empty.path(), &[0], &options).expect_err("none").to_string().contains("has no recordings"));
}

crate::tests![
    waveforms_are_from_minus_one_to_one_and_of_one_channel,
    what_is_no_recording_or_of_another_rate_is_passed_over_or_refused
];
