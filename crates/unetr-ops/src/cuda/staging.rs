//! Bytes to a GPU beside what it computes.
//!
//! A device has a ring of buffers, each in page-locked memory of the host and in memory of the GPU. Bytes
//! are written to the next one, copied on a stream of their own, and read by what is launched on the main
//! stream. Events keep the order: a copy waits for what read its buffer before, what reads waits for its
//! copy, and the host waits only where the buffer's last copy is not done.
//!
//! The stream is the driver's own, not one of `cudarc`, which would begin to keep two events for every
//! array of the device.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaSlice, CudaStream, DevicePtr as _, PinnedHostSlice, result,
};
use candle_core::cuda_backend::{DeviceId, WrapErr as _};
use candle_core::{CudaDevice, Result};

/// Buffers of a ring: the images and the masks of two batches.
const BUFFERS: usize = 4;

/// The rings of the devices, which stay until the process ends.
static RINGS: LazyLock<Mutex<HashMap<DeviceId, Ring>>> = LazyLock::new(Mutex::default);

/// Uploads bytes, of which there is one at least, and launches on the main stream what reads them at an
/// address, which is theirs for no longer than that. The address is a multiple of 256.
pub(super) fn upload(
    device: &CudaDevice,
    bytes: &[u8],
    read: impl FnOnce(u64) -> Result<()>,
) -> Result<()> {
    let mut rings = RINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let ring = match rings.entry(device.id()) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(Ring::new(device)?),
    };
    let copies = Arc::clone(&ring.copies);
    let buffer = ring.next(device, bytes.len())?;
    buffer.write(bytes)?;
    buffer.copy(bytes.len(), &copies)?;
    let main = device.cuda_stream();
    main.wait(&buffer.copied).w()?;
    let launched = read(buffer.address);
    buffer.read.record(&main).w()?;
    launched
}

#[derive(Debug)]
struct Ring {
    /// The stream of the copies.
    copies: Arc<CudaStream>,
    buffers: [Option<Buffer>; BUFFERS],
    next: usize,
}

impl Ring {
    fn new(device: &CudaDevice) -> Result<Self> {
        let main = device.cuda_stream();
        main.context().bind_to_thread().w()?;
        // Candle's is the stream 0, for which only a stream that does not block need not wait.
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).w()?;
        Ok(Self {
            // SAFETY: the stream was made in this context just now, and nobody destroys it.
            copies: unsafe { main.context().wrap_borrowed_stream(stream) },
            buffers: Default::default(),
            next: 0,
        })
    }

    /// The buffer whose turn it is, with room for so many bytes.
    fn next(&mut self, device: &CudaDevice, bytes: usize) -> Result<&mut Buffer> {
        let place = &mut self.buffers[self.next];
        self.next = (self.next + 1) % BUFFERS;
        let buffer = match place.take() {
            Some(buffer) if buffer.on_host.len() >= bytes => buffer,
            small => {
                drop(small);
                Buffer::new(device, bytes)?
            }
        };
        Ok(place.insert(buffer))
    }
}

#[derive(Debug)]
struct Buffer {
    on_host: PinnedHostSlice<u8>,
    /// Kept for its memory, which begins at `address`.
    _on_device: CudaSlice<u8>,
    address: u64,
    /// The last copy is done.
    copied: CudaEvent,
    /// What was launched to read the last copy is done.
    read: CudaEvent,
}

impl Buffer {
    fn new(device: &CudaDevice, bytes: usize) -> Result<Self> {
        let main = device.cuda_stream();
        let context = main.context();
        // SAFETY: of both memories only what was written is read.
        let (on_host, on_device) =
            unsafe { (context.alloc_pinned(bytes).w()?, device.alloc(bytes)?) };
        let address = on_device.device_ptr(&main).0;
        Ok(Self {
            on_host,
            address,
            _on_device: on_device,
            copied: context.new_event(None).w()?,
            // The memory is there where the main stream has come to here.
            read: main.record_event(None).w()?,
        })
    }

    /// Writes bytes, for which there is room, to the host's memory.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        // host sync: waits for the last copy, which is done unless the host is far ahead
        self.copied.synchronize().w()?;
        let to = self.on_host.as_mut_ptr().w()?;
        // SAFETY: there is room, nothing else has the memory, and no copy reads it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies so many bytes, which have been written, to the GPU.
    fn copy(&mut self, bytes: usize, copies: &CudaStream) -> Result<()> {
        copies.wait(&self.read).w()?;
        let from = self.on_host.as_ptr().w()?;
        // SAFETY: the bytes have been written, the GPU's memory has room for them and nothing there reads it
        // any more, and both stay until `copied`.
        unsafe {
            let bytes = std::slice::from_raw_parts(from, bytes);
            result::memcpy_htod_async(self.address, bytes, copies.cu_stream()).w()?;
        }
        self.copied.record(copies).w()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // host sync: the copy reads the host's memory. Where the driver fails there is no copy.
        let _ = self.copied.synchronize();
    }
}
