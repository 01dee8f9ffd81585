import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What runs in the pods of the cluster tests, on the sidecar image's own Java runtime: the application and whoever uses it.
 *
 * <p>{@code Probe serve}: answers every request on port 8080 with the pod's name, and {@code /crash} by crashing. After SIGTERM it goes on
 * for {@code $LINGER} milliseconds, says when it ends, and ends.
 *
 * <p>{@code Probe poll HOST}: opens a new connection every 20 ms, for ever, and prints a line for each when it is over: its number, when it
 * was begun (milliseconds since 1970), how long it took, and {@code ok POD} or {@code failed WHY}.
 *
 * <p>{@code Probe crash HOST}: asks the application there to crash.
 */
final class Probe {

    private static final int PORT = 8080;
    private static final Duration INTERVAL = Duration.ofMillis(20);
    private static final int TIMEOUT_MILLIS = 2000;

    private Probe() {
    }

    public static void main(String... arguments) throws Exception {
        switch (arguments.length == 0 ? "serve" : arguments[0]) {
            case "serve" -> serve();
            case "poll" -> poll(arguments[1]);
            case "crash" -> crash(arguments[1]);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void crash(String host) throws IOException {
        try {
            URI.create("http://" + host + ":" + PORT + "/crash").toURL().openStream().close();
        } catch (SocketException crashed) {
            System.out.println(host + " has crashed");
        }
    }

    private static void serve() throws IOException {
        String name = InetAddress.getLocalHost().getHostName();
        long linger = Long.parseLong(System.getenv().getOrDefault("LINGER", "0"));
        HttpServer server = HttpServer.create(new InetSocketAddress(PORT), 0);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/", exchange -> {
            if (exchange.getRequestURI().getPath().equals("/crash")) {
                Runtime.getRuntime().halt(1);
            }
            byte[] body = name.getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Connection", "close");
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            pause(Duration.ofMillis(linger));
            System.out.println("exits at " + System.currentTimeMillis());
            Runtime.getRuntime().halt(0);
        }));
        server.start();
        System.out.println(name + " serves");
    }

    private static void poll(String host) {
        AtomicLong number = new AtomicLong();
        long begun = System.nanoTime();
        try (var requests = Executors.newVirtualThreadPerTaskExecutor()) {
            while (true) {
                long n = number.incrementAndGet();
                requests.execute(() -> {
                    long start = System.currentTimeMillis();
                    String outcome = ask(host);
                    System.out.println(n + " " + start + " " + (System.currentTimeMillis() - start) + " " + outcome);
                });
                pause(Duration.ofNanos(begun + n * INTERVAL.toNanos() - System.nanoTime()));
            }
        }
    }

    private static String ask(String host) {
        try (Socket socket = new Socket()) {
            socket.setSoTimeout(TIMEOUT_MILLIS);
            socket.connect(new InetSocketAddress(host, 80), TIMEOUT_MILLIS);
            socket.getOutputStream().write("GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n".getBytes(StandardCharsets.UTF_8));
            String answer = read(socket.getInputStream());
            return answer.startsWith("HTTP/1.1 200") ? "ok " + answer.substring(answer.lastIndexOf('\n') + 1)
                    : "failed " + answer.lines().findFirst().orElse("empty answer");
        } catch (IOException e) {
            return "failed " + e;
        }
    }

    private static String read(InputStream in) throws IOException {
        return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }

    /** This is what the application does, not how a test waits. */
    private static void pause(Duration time) {
        try {
            Thread.sleep(time.isNegative() ? Duration.ZERO : time);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
