//! MPI, loaded when a launcher has started the program.
//!
//! So one program serves laptop and cluster, and builds without MPI. Implementations differ in the
//! names of their libraries, in the type of handles and in constants: see [`ABIS`].
//!
//! It is one file, so that all unsafe code of MPI stands together.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libloading::Library;

use crate::launcher::{Implementation, Launcher};
use crate::{ParallelError, Peers};

/// A family of implementations that a program can call in the same way.
struct Abi {
    of: &'static [Implementation],
    /// The names of the libraries.
    libraries: &'static [&'static str],
    /// How the texts of their versions begin.
    versions: &'static [&'static str],
    handles: Handles,
    /// `MPI_STATUS_IGNORE`.
    status_ignore: usize,
    /// `MPI_THREAD_SERIALIZED`.
    thread_serialized: c_int,
}

/// `MPI_COMM_WORLD` and `MPI_FLOAT`.
enum Handles {
    /// The addresses of two variables of the library.
    Variables([&'static str; 2]),
    /// Numbers of a pointer's size.
    Pointers([usize; 2]),
    /// Numbers of C's `int`.
    Integers([c_int; 2]),
}

const ABIS: [Abi; 3] = [
    Abi {
        of: &[Implementation::OpenMpi],
        libraries: &["libmpi.so.40"],
        versions: &["Open MPI v"],
        handles: Handles::Variables(["ompi_mpi_comm_world", "ompi_mpi_float"]),
        status_ignore: 0,
        thread_serialized: 2,
    },
    Abi {
        of: &[Implementation::Mpich],
        libraries: &["libmpich.so.12", "libmpi.so.12"],
        versions: &["MPICH Version", "Intel(R) MPI", "MVAPICH"],
        handles: Handles::Integers([0x4400_0000, 0x4c00_040a]),
        status_ignore: 1,
        thread_serialized: 2,
    },
    // The ABI of the standard MPI 5.
    Abi {
        of: &[Implementation::OpenMpi, Implementation::Mpich],
        libraries: &["libmpi_abi.so.1"],
        versions: &["MPICH Version", "Open MPI v"],
        handles: Handles::Pointers([0x101, 0x210]),
        status_ignore: 0,
        thread_serialized: 2048,
    },
];

/// The functions of MPI that the program calls, for handles of type `H`.
struct Calls<H> {
    rank: unsafe extern "C" fn(H, *mut c_int) -> c_int,
    size: unsafe extern "C" fn(H, *mut c_int) -> c_int,
    sendrecv: SendRecv<H>,
    allgather: AllGather<H>,
    bcast: unsafe extern "C" fn(*mut c_void, c_int, H, c_int, H) -> c_int,
    ibarrier: unsafe extern "C" fn(H, *mut H) -> c_int,
    test: unsafe extern "C" fn(*mut H, *mut c_int, *mut c_void) -> c_int,
    abort: unsafe extern "C" fn(H, c_int) -> c_int,
    finalize: unsafe extern "C" fn() -> c_int,
    world: H,
    float: H,
    status_ignore: *mut c_void,
}

type SendRecv<H> = unsafe extern "C" fn(
    *const c_void,
    c_int,
    H,
    c_int,
    c_int,
    *mut c_void,
    c_int,
    H,
    c_int,
    c_int,
    H,
    *mut c_void,
) -> c_int;

type AllGather<H> =
    unsafe extern "C" fn(*const c_void, c_int, H, *mut c_void, c_int, H, H) -> c_int;

type Version = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
type InitThread = unsafe extern "C" fn(*mut c_int, *mut c_void, c_int, *mut c_int) -> c_int;

/// `MPI_MAX_LIBRARY_VERSION_STRING` is 256 in Open MPI and 8192 in MPICH.
const LONGEST_VERSION: usize = 16384;

/// The numbers in one message have C's `int` as their number.
fn int(length: usize) -> c_int {
    c_int::try_from(length).expect("the share of a process has fewer than 2³¹ numbers")
}

impl<H: Copy> Calls<H> {
    /// Looks up the functions.
    ///
    /// # Safety
    /// The library implements MPI with handles of type `H`.
    unsafe fn load(
        library: &Library,
        [world, float]: [H; 2],
        abi: &Abi,
    ) -> Result<Self, libloading::Error> {
        // SAFETY: the types are those of the MPI standard with handles of type `H`.
        unsafe {
            Ok(Calls {
                rank: *library.get(b"MPI_Comm_rank\0")?,
                size: *library.get(b"MPI_Comm_size\0")?,
                sendrecv: *library.get(b"MPI_Sendrecv\0")?,
                allgather: *library.get(b"MPI_Allgather\0")?,
                bcast: *library.get(b"MPI_Bcast\0")?,
                ibarrier: *library.get(b"MPI_Ibarrier\0")?,
                test: *library.get(b"MPI_Test\0")?,
                abort: *library.get(b"MPI_Abort\0")?,
                finalize: *library.get(b"MPI_Finalize\0")?,
                world,
                float,
                status_ignore: abi.status_ignore as *mut c_void,
            })
        }
    }

    fn place(&self) -> [usize; 2] {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: MPI is initialised, and writes one number each.
        unsafe {
            (self.rank)(self.world, &mut rank);
            (self.size)(self.world, &mut size);
        }
        [rank as usize, size as usize]
    }

    fn exchange(&self, have: &[f32], to: usize, want: &mut [f32], from: usize) {
        // SAFETY: MPI reads `have`, and writes at most the length of `want`; a longer message ends
        // the job.
        unsafe {
            (self.sendrecv)(
                have.as_ptr().cast(),
                int(have.len()),
                self.float,
                int(to),
                0,
                want.as_mut_ptr().cast(),
                int(want.len()),
                self.float,
                int(from),
                0,
                self.world,
                self.status_ignore,
            );
        }
    }

    /// Moves the words as floats, which have the same size; MPI does not look at them.
    fn gather(&self, mine: &[u32], all: &mut [u32], count: usize) {
        assert_eq!(all.len(), mine.len() * count);
        let n = int(mine.len());
        // SAFETY: MPI reads `mine`, and writes as many words for each process into `all`.
        unsafe {
            (self.allgather)(
                mine.as_ptr().cast(),
                n,
                self.float,
                all.as_mut_ptr().cast(),
                n,
                self.float,
                self.world,
            );
        }
    }

    fn broadcast(&self, words: &mut [u32]) {
        let (at, n) = (words.as_mut_ptr().cast(), int(words.len()));
        // SAFETY: MPI reads `words` in process 0, and writes as many in the others.
        unsafe {
            (self.bcast)(at, n, self.float, 0, self.world);
        }
    }

    /// A barrier that leaves the processor to others: MPI's own wait burns a core.
    fn wait(&self) {
        let (mut request, mut done) = (self.world, 0);
        let started = Instant::now();
        // SAFETY: the request lives until it is done.
        unsafe {
            (self.ibarrier)(self.world, &mut request);
            loop {
                (self.test)(&mut request, &mut done, self.status_ignore);
                if done != 0 {
                    return;
                }
                match started.elapsed() < Duration::from_micros(100) {
                    true => std::thread::yield_now(),
                    false => std::thread::sleep(Duration::from_micros(200)),
                }
            }
        }
    }

    fn abort(&self, code: c_int) {
        // SAFETY: ends all processes of the job, this one too.
        unsafe {
            (self.abort)(self.world, code);
        }
    }

    fn finalize(&self) {
        // SAFETY: called once, by `Mpi::finish`.
        unsafe {
            (self.finalize)();
        }
    }
}

enum Any {
    Pointers(Calls<usize>),
    Integers(Calls<c_int>),
}

/// Calls a method of whichever it is.
macro_rules! each {
    ($any:expr, $calls:ident => $call:expr) => {
        match $any {
            Any::Pointers($calls) => $call,
            Any::Integers($calls) => $call,
        }
    };
}

/// The connection to the other processes of a job. Until [`finish`](Self::finish) or
/// [`abort`](Self::abort) they wait for this one.
pub struct Mpi {
    calls: Any,
    version: String,
    rank: usize,
    count: usize,
    /// MPI allows one call at a time, and none after the end.
    ended: Mutex<bool>,
}

// SAFETY: `ended` keeps the calls apart, as MPI_THREAD_SERIALIZED asks. The handles, and the
// pointer `status_ignore`, are constants.
unsafe impl Send for Mpi {}
// SAFETY: as above.
unsafe impl Sync for Mpi {}

impl Mpi {
    /// Joins the processes that the launcher has started.
    ///
    /// # Errors
    /// No MPI that fits the launcher.
    pub fn join(launcher: &Launcher) -> Result<Mpi, ParallelError> {
        let refused = |why: String| ParallelError::Launcher {
            name: launcher.name,
            count: launcher.count,
            why,
        };
        let Some(implementation) = launcher.mpi else {
            let why = "was not told to serve MPI: use srun --mpi=pmix, or mpirun".to_owned();
            return Err(refused(why));
        };
        let mut tried = Vec::new();
        let fits =
            |abi: &&Abi| implementation == Implementation::Any || abi.of.contains(&implementation);
        for abi in ABIS.iter().filter(fits) {
            for name in abi.libraries {
                match open(name, abi, true) {
                    Err(why) => tried.push(why),
                    Ok((library, version)) => {
                        let mpi = start(library, abi, version).map_err(refused)?;
                        if mpi.count != launcher.count {
                            let why = format!(
                                "{} sees {} of them: start the program with the launcher of this MPI",
                                mpi.version, mpi.count
                            );
                            return Err(refused(why));
                        }
                        return Ok(mpi);
                    }
                }
            }
        }
        Err(refused(format!(
            "its MPI library is missing: {}",
            tried.join("; ")
        )))
    }

    /// The MPI libraries of this machine: name and version.
    pub fn installed() -> Vec<(&'static str, String)> {
        let names = ABIS
            .iter()
            .flat_map(|abi| abi.libraries.iter().map(move |name| (*name, abi)));
        names
            .filter_map(|(name, abi)| Some((name, open(name, abi, false).ok()?.1)))
            .collect()
    }

    /// Name and version of the implementation.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Ends all processes of the job at once, with this exit code.
    pub fn abort(&self, code: u8) {
        // Without the lock: another thread may hold it for as long as it waits for a process.
        each!(&self.calls, calls => calls.abort(c_int::from(code)));
    }

    /// Waits for all processes, and leaves the job: the last call.
    pub fn finish(&self) {
        self.wait();
        let mut ended = self.call();
        each!(&self.calls, calls => calls.finalize());
        *ended = true;
    }

    fn call(&self) -> MutexGuard<'_, bool> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!*ended, "MPI is called after the end of the job");
        ended
    }
}

/// Loads a library, if it is of this family. Open MPI's plugins look for its functions among those
/// that are visible to all.
fn open(name: &str, abi: &Abi, visible: bool) -> Result<(Library, String), String> {
    let mut text = vec![0u8; LONGEST_VERSION];
    let mut length = 0;
    // SAFETY: loading a library of MPI runs only what sets up its own data. The function may be
    // called before MPI is initialised, and writes at most the longest text.
    let library = unsafe {
        #[cfg(unix)]
        let library = {
            use libloading::os::unix::{Library as Unix, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};
            let scope = if visible { RTLD_GLOBAL } else { RTLD_LOCAL };
            Unix::open(Some(name), RTLD_NOW | scope).map(Library::from)
        };
        #[cfg(not(unix))]
        let library = {
            let _ = visible;
            Library::new(name)
        };
        let library = library.map_err(|e| e.to_string())?;
        let version = library.get::<Version>(b"MPI_Get_library_version\0");
        (version.map_err(|e| e.to_string())?)(text.as_mut_ptr().cast(), &mut length);
        library
    };
    let end = text.iter().position(|c| *c == 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..end]).into_owned();
    if !abi.versions.iter().any(|begin| text.starts_with(begin)) {
        return Err(format!("{name} is of an unknown kind, {text}"));
    }
    // `Open MPI v4.1.4, package: …`; `MPICH Version:      4.0.2\nMPICH Release date: …`.
    let line = text.split(['\n', ',']).next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok((library, words.join(" ")))
}

/// Open MPI's setting by which a process that waits lets others run. It is off unless there are more
/// processes than cores; but other programs may need the cores, too.
const YIELDS: &str = "OMPI_MCA_mpi_yield_when_idle";

/// Initialises MPI.
fn start(library: Library, abi: &Abi, version: String) -> Result<Mpi, String> {
    let failed = |e: libloading::Error| e.to_string();
    // SAFETY: the version says that the library is of this family, so handles and functions have
    // these types. MPI may look at no arguments, and writes the level of threads.
    let calls = unsafe {
        let init: InitThread = *library.get(b"MPI_Init_thread\0").map_err(failed)?;
        let calls = match abi.handles {
            Handles::Variables(names) => {
                let mut handles = [0; 2];
                for (handle, name) in handles.iter_mut().zip(names) {
                    let address = library.get::<*mut c_void>(name.as_bytes());
                    *handle = *address.map_err(failed)? as usize;
                }
                Any::Pointers(Calls::load(&library, handles, abi).map_err(failed)?)
            }
            Handles::Pointers(handles) => {
                Any::Pointers(Calls::load(&library, handles, abi).map_err(failed)?)
            }
            Handles::Integers(handles) => {
                Any::Integers(Calls::load(&library, handles, abi).map_err(failed)?)
            }
        };
        if std::env::var_os(YIELDS).is_none() {
            // The threads that compute have not started, and no other reads the environment.
            std::env::set_var(YIELDS, "1");
        }
        let mut provided = 0;
        (init)(null_mut(), null_mut(), abi.thread_serialized, &mut provided);
        if provided < abi.thread_serialized {
            return Err(format!("{version} was built without support for threads"));
        }
        calls
    };
    // It stays loaded until the process ends: MPI has threads of its own.
    std::mem::forget(library);
    let [rank, count] = each!(&calls, calls => calls.place());
    Ok(Mpi {
        calls,
        version,
        rank,
        count,
        ended: Mutex::new(false),
    })
}

impl Peers for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn exchange(&self, have: &[f32], to: usize, want: &mut [f32], from: usize) {
        let _one = self.call();
        each!(&self.calls, calls => calls.exchange(have, to, want, from));
    }

    fn gather(&self, mine: &[u32], all: &mut [u32]) {
        self.wait();
        let _one = self.call();
        each!(&self.calls, calls => calls.gather(mine, all, self.count));
    }

    fn broadcast(&self, words: &mut [u32]) {
        self.wait();
        let _one = self.call();
        each!(&self.calls, calls => calls.broadcast(words));
    }

    fn wait(&self) {
        let _one = self.call();
        each!(&self.calls, calls => calls.wait());
    }
}
