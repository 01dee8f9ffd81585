import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The HTTP address of a sidecar as its clients see it, byte by byte: what a client library would hide, such as a body after HEAD, is seen.
 *
 * @param host an address or name, without brackets
 */
record Endpoint(String host, int port) {

    /** What a kubelet waits for a probe by default. */
    static final Duration PROBE_TIMEOUT = Duration.ofSeconds(1);
    private static final Duration LIMIT = Duration.ofSeconds(20);
    /** Below the ports that operating systems give to outgoing connections. */
    private static final int FIRST_PORT = 15_000;
    private static final int PORTS = 15_000;
    private static final AtomicInteger PLACE = new AtomicInteger(new Random().nextInt(PORTS));

    /**
     * What came back.
     *
     * @param headers by their names in lower case
     * @param body all bytes after the headers until the server closed the connection
     */
    record Answer(int code, Map<String, String> headers, String body) {

        private static Answer parse(String text) throws IOException {
            String[] parts = text.split("\r\n\r\n", 2);
            String[] head = parts[0].split("\r\n");
            if (parts.length < 2 || !head[0].matches("HTTP/1\\.1 \\d{3}( .*)?")) {
                throw new IOException("no HTTP answer: \"" + text + "\"");
            }
            Map<String, String> headers = new TreeMap<>();
            Arrays.stream(head).skip(1).map(line -> line.split(": *", 2)).forEach(pair -> headers.put(pair[0].toLowerCase(), pair[1]));
            return new Answer(Integer.parseInt(head[0].substring(9, 12)), headers, parts[1]);
        }
    }

    /** A port of the loopback interface at which nobody listens at the moment, and which no connection is given as its own. */
    static Endpoint free() {
        while (true) {
            int port = FIRST_PORT + PLACE.getAndIncrement() % PORTS;
            try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
                return new Endpoint("127.0.0.1", socket.getLocalPort());
            } catch (BindException taken) {
                continue;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** The flag by which a sidecar listens there. */
    String flag() {
        return "--http-address=" + (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
    }

    /** A new connection; reading from it ends with an exception after twenty seconds. */
    Socket connect() throws IOException {
        return connect(LIMIT);
    }

    private Socket connect(Duration limit) throws IOException {
        Socket socket = new Socket();
        socket.connect(new InetSocketAddress(host, port), (int) limit.toMillis());
        socket.setSoTimeout((int) limit.toMillis());
        return socket;
    }

    /** Whether anybody listens there. */
    boolean isOpen() {
        try (Socket socket = connect()) {
            return socket.isConnected();
        } catch (IOException refused) {
            return false;
        }
    }

    /** The text of a request without body, with these further header lines. */
    static byte[] request(String method, String path, String... headers) {
        String lines = headers.length == 0 ? "" : String.join("\r\n", headers) + "\r\n";
        return (method + " " + path + " HTTP/1.1\r\nHost: sidecar\r\n" + lines + "\r\n").getBytes(StandardCharsets.US_ASCII);
    }

    /** Sends these bytes and returns all that comes back, which may be nothing, until the server closes the connection. */
    String exchange(byte[] request, Duration limit) throws IOException {
        try (Socket socket = connect(limit)) {
            socket.getOutputStream().write(request);
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** One request on a connection of its own; fails if it is not answered. */
    Answer ask(String method, String path) {
        try {
            return Answer.parse(exchange(request(method, path, "Connection: close"), LIMIT));
        } catch (IOException e) {
            throw new AssertionError(method + " " + path + " at " + this, e);
        }
    }

    /** GET of a path. */
    Answer get(String path) {
        return ask("GET", path);
    }

    /** The status code of a path, 0 if nobody answers: to wait for one. */
    int code(String path) {
        return code(path, LIMIT);
    }

    /** What a kubelet's probe of a path sees in its second: the status code, 0 if there was no answer. */
    int probe(String path) {
        return code(path, PROBE_TIMEOUT);
    }

    private int code(String path, Duration limit) {
        try {
            return Answer.parse(exchange(request("GET", path, "Connection: close"), limit)).code();
        } catch (IOException unanswered) {
            return 0;
        }
    }
}
