import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;

/** Strangers with many connections to a sidecar's HTTP address. Each connection that the server closes is replaced by a new one at once. */
final class Flood implements AutoCloseable {

    private static final long PAUSE = 1_000_000;
    private static final int STACK = 128 * 1024;
    private static final byte[] GET = Endpoint.request("GET", "/metrics");

    /** Not virtual: those of this JVM would share their few processors with an API server that runs in it. */
    private final ExecutorService strangers =
            Executors.newCachedThreadPool(Thread.ofPlatform().daemon().name("stranger").stackSize(STACK).factory());
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    private final LongAdder connections = new LongAdder();
    private final LongAdder answers = new LongAdder();
    private volatile boolean closed;

    private interface Stranger {
        void use(Socket socket) throws IOException;
    }

    /** Adds connections on which nothing is ever sent. */
    Flood idle(Endpoint endpoint, int count) {
        return add(endpoint, count, socket -> socket.getInputStream().read());
    }

    /** Adds connections on which the beginning of a request is sent and never its end. */
    Flood slow(Endpoint endpoint, int count) {
        return add(endpoint, count, socket -> {
            socket.getOutputStream().write(GET, 0, GET.length - 2);
            socket.getInputStream().read();
        });
    }

    /** Adds connections on which a request is sent at once; the server closes them with its answer, so that the next follows. */
    Flood busy(Endpoint endpoint, int count) {
        return add(endpoint, count, socket -> {
            InputStream in = socket.getInputStream();
            byte[] answer = new byte[65536];
            socket.getOutputStream().write(GET);
            if (in.read(answer) > 0) {
                answers.increment();
            }
        });
    }

    private Flood add(Endpoint endpoint, int count, Stranger stranger) {
        for (int i = 0; i < count; i++) {
            strangers.execute(() -> keep(endpoint, stranger));
        }
        return this;
    }

    private void keep(Endpoint endpoint, Stranger stranger) {
        while (!closed) {
            try (Socket socket = endpoint.connect()) {
                socket.setSoTimeout(0);
                connections.increment();
                use(socket, stranger);
            } catch (IOException refusedOrClosed) {
                LockSupport.parkNanos(PAUSE);
            }
        }
    }

    private void use(Socket socket, Stranger stranger) throws IOException {
        sockets.add(socket);
        try {
            stranger.use(socket);
        } finally {
            sockets.remove(socket);
        }
    }

    /** How many connections are open now. */
    int open() {
        return sockets.size();
    }

    /** How many connections were opened so far. */
    long connections() {
        return connections.sum();
    }

    /** How many answers the busy ones have had so far. */
    long answers() {
        return answers.sum();
    }

    /** Closes all connections. */
    @Override
    public void close() {
        closed = true;
        strangers.shutdownNow();
        while (!strangers.isTerminated()) {
            sockets.forEach(Flood::close);
            Thread.onSpinWait();
        }
    }

    private static void close(Socket socket) {
        try {
            socket.close();
        } catch (IOException closing) {
            // it is closed anyway
        }
    }
}
