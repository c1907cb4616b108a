//! Compiles the `.proto` files with protox, so that no system `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 5] = [
        "kestrel/v1/coordinator.proto",
        "kestrel/v1/datanode.proto",
        "kestrel/v1/fragment.proto",
        "kestrel/v1/report.proto",
        "kestrel/v1/shard.proto",
    ];
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-changed=kestrel/v1/frame.proto");
    let descriptors = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::rpc::CheckedCodec")
        .extern_path(".kestrel.v1.Frame", "crate::rpc::Frame")
        .compile_fds(descriptors)?;
    Ok(())
}
