//! The bound of every transport: so many bytes through a plain TCP connection.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Of one read and one write.
const CHUNK_BYTES: usize = 256 << 10;

/// Sends so many bytes; how many arrived.
pub async fn plain(bytes: u64) -> io::Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address: SocketAddr = listener.local_addr()?;
    let sent = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await?;
        let chunk = vec![7; CHUNK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(CHUNK_BYTES as u64);
            stream.write_all(&chunk[..now as usize]).await?;
            left -= now;
        }
        stream.shutdown().await
    });
    let (mut stream, _) = listener.accept().await?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut received = 0;
    while let read @ 1.. = stream.read(&mut chunk).await? {
        received += read as u64;
    }
    sent.await??;
    Ok(received)
}
