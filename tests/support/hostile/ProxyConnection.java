import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import okhttp3.Call;
import okhttp3.MediaType;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

/**
 * One connection to a {@link FaultProxy}: HTTP/1.1 by hand, since no server library resets connections, breaks off in the middle of a body
 * or executes a request whose client has gone.
 */
final class ProxyConnection implements Runnable {

    /** As long as those of admission webhooks can be, with what has to be escaped in JSON; each has a number, as some of theirs have. */
    private static final String LONG_MESSAGE = "injected fault %d: " + "a \"long\" \\ message\n".repeat(5000);
    private static final AtomicInteger REFUSALS = new AtomicInteger();

    private static final String EXPIRED = """
            {"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",\
            "message":"too old resource version: 1 (2)","reason":"Expired","code":410}}
            """;
    private static final String HALF_AN_EVENT = "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Lea";

    /** The connection cannot be used for a further request. */
    private static final class Over extends IOException {}

    private record Answer(int status, String contentType, String retryAfter, byte[] body) {}

    private final FaultProxy proxy;
    private final FaultLog log;
    private final Socket socket;
    /** Guards writing to the client of a watch, which strikes from outside interrupt. */
    private final Object writing = new Object();
    private InputStream in;
    private OutputStream out;
    private String contentType;
    private volatile Call watch;
    private boolean silent;
    private volatile boolean abandoned;

    ProxyConnection(FaultProxy proxy, Socket socket) {
        this.proxy = proxy;
        this.log = proxy.log();
        this.socket = socket;
    }

    /** Serves one request after the other, until either side ends the connection. */
    @Override
    public void run() {
        try (socket) {
            socket.setTcpNoDelay(true);
            in = new BufferedInputStream(socket.getInputStream());
            out = new BufferedOutputStream(socket.getOutputStream());
            for (Optional<ProxiedRequest> request = read(); request.isPresent(); request = read()) {
                serve(request.get());
            }
        } catch (IOException over) {
            // The client left, or a fault ended the connection: nothing is left to say.
        } finally {
            proxy.ended(this);
        }
    }

    /** Resets the connection. A request that is being executed goes on, as it would at the server. */
    void reset() {
        try {
            socket.setSoLinger(true, 0);
            socket.close();
        } catch (IOException gone) {
            // Then it need not be reset any more.
        }
        Call open = watch;
        if (open != null) {
            open.cancel();
        }
    }

    /** The proxy is closed: nothing late is executed any more. */
    void abandon() {
        abandoned = true;
        reset();
    }

    // --- Reading -----------------------------------------------------------------------------------------------------

    private Optional<ProxiedRequest> read() throws IOException {
        String[] first = line().split(" ");
        if (first.length < 3) {
            return Optional.empty();
        }
        Map<String, String> headers = new TreeMap<>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            String[] header = line.split(":", 2);
            headers.put(header[0].toLowerCase(Locale.ROOT), header[1].strip());
        }
        byte[] body = "chunked".equals(headers.get("transfer-encoding")) ? chunks()
                : in.readNBytes(Integer.parseInt(headers.getOrDefault("content-length", "0")));
        contentType = headers.get("content-type");
        return Optional.of(ProxiedRequest.of(proxy, first[0], first[1], new String(body, StandardCharsets.UTF_8),
                headers.get(ProxiedRequest.CALLER.toLowerCase(Locale.ROOT))));
    }

    private byte[] chunks() throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        for (int length = Integer.parseInt(line(), 16); length > 0; length = Integer.parseInt(line(), 16)) {
            body.write(in.readNBytes(length));
            line();
        }
        line();
        return body.toByteArray();
    }

    /** One line of a request's head; empty at the end of it, and of the connection. */
    private String line() throws IOException {
        StringBuilder line = new StringBuilder();
        for (int c = in.read(); c != -1 && c != '\n'; c = in.read()) {
            line.append((char) c);
        }
        return line.toString().strip();
    }

    // --- Serving -----------------------------------------------------------------------------------------------------

    private void serve(ProxiedRequest request) throws IOException {
        if (proxy.isUnreachable()) {
            reset();
            throw new Over();
        }
        Optional<HttpFault> drawn = proxy.faultFor(request);
        HttpFault fault = drawn.orElse(null);
        drawn.ifPresent(hit -> log.hit());
        Response events = null;
        if (fault instanceof HttpFault.Refuse refuse) {
            send(request, fault, 0, refusal(refuse));
        } else if (fault instanceof HttpFault.ExpiredToken) {
            send(request, fault, 0, refusal(new HttpFault.Refuse(401, 0)));
        } else {
            await(fault);
            if (request.phase() == RequestPhase.WATCH) {
                events = open(request, fault);
            } else {
                answer(request, fault, execute(request));
            }
        }
        if (events != null) {
            watch(request, events);
        }
    }

    private void note(ProxiedRequest request, HttpFault fault, int status) {
        log.answered(new FaultLog.Exchange(request, fault, status, System.nanoTime()));
    }

    private void await(HttpFault fault) throws IOException {
        try {
            switch (fault) {
                case HttpFault.Slow slow -> TimeUnit.NANOSECONDS.sleep(slow.by().toNanos());
                case HttpFault.Hold hold -> hold.until().get();
                case null, default -> { }
            }
        } catch (InterruptedException | ExecutionException closing) {
            throw new IOException(closing);
        }
    }

    private Answer execute(ProxiedRequest request) throws IOException {
        if (abandoned) {
            throw new Over();
        }
        try (Response response = call(request).execute()) {
            byte[] body = response.body().bytes();
            if (request.phase() == RequestPhase.ACQUIRE && response.code() == 200) {
                proxy.won(request.acquireTime());
            }
            return new Answer(response.code(), response.header("Content-Type"), response.header("Retry-After"), body);
        } catch (IOException unanswered) {
            return serverDown(request);
        }
    }

    private Call call(ProxiedRequest request) {
        MediaType type = contentType == null ? null : MediaType.parse(contentType);
        RequestBody body = request.isWrite() ? RequestBody.create(request.body().getBytes(StandardCharsets.UTF_8), type) : null;
        return proxy.http().newCall(new Request.Builder().url(proxy.upstream() + request.target()).method(request.method(), body)
                .header("Accept", "application/json").build());
    }

    /** The API server itself is not there, or went away: so does this connection. */
    private <T> T serverDown(ProxiedRequest request) throws IOException {
        if (!abandoned && !socket.isClosed()) {
            note(request, null, 0);
        }
        reset();
        throw new Over();
    }

    private void answer(ProxiedRequest request, HttpFault fault, Answer answer) throws IOException {
        switch (fault) {
            case HttpFault.ResetAfter reset -> {
                note(request, fault, answer.status());
                reset();
                throw new Over();
            }
            case HttpFault.Truncate truncate -> {
                note(request, fault, answer.status());
                head(answer, answer.body().length);
                out.write(answer.body(), 0, answer.body().length / 2);
                out.flush();
                throw new Over();
            }
            case HttpFault.Garbage garbage -> send(request, fault, answer.status(),
                    new Answer(200, "application/json", null, garbage.body().getBytes(StandardCharsets.UTF_8)));
            case null, default -> send(request, fault, answer.status(), answer);
        }
    }

    private static Answer refusal(HttpFault.Refuse refuse) {
        String body = Json.print(Map.of("kind", "Status", "apiVersion", "v1", "metadata", Map.of(), "status", "Failure",
                "message", LONG_MESSAGE.formatted(REFUSALS.incrementAndGet()), "code", refuse.code()));
        String retryAfter = refuse.retryAfterSeconds() > 0 ? Integer.toString(refuse.retryAfterSeconds()) : null;
        return new Answer(refuse.code(), "application/json", retryAfter, body.getBytes(StandardCharsets.UTF_8));
    }

    private void send(ProxiedRequest request, HttpFault fault, int status, Answer answer) throws IOException {
        note(request, fault, status);
        head(answer, answer.body().length);
        out.write(answer.body());
        out.flush();
    }

    private void head(Answer answer, int length) throws IOException {
        write("HTTP/1.1 " + answer.status() + " Injected\r\nContent-Type: " + answer.contentType() + "\r\n"
                + (answer.retryAfter() == null ? "" : "Retry-After: " + answer.retryAfter() + "\r\n")
                + (length < 0 ? "Transfer-Encoding: chunked\r\nConnection: close\r\n" : "Content-Length: " + length + "\r\n") + "\r\n");
    }

    private void write(String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
    }

    // --- Watches -----------------------------------------------------------------------------------------------------

    /** Begins a watch; null if the API server refuses it. */
    private Response open(ProxiedRequest request, HttpFault fault) throws IOException {
        Call call = call(request);
        Response response;
        try {
            response = call.execute();
        } catch (IOException unanswered) {
            return serverDown(request);
        }
        if (!response.isSuccessful()) {
            try (response) {
                send(request, fault, response.code(),
                        new Answer(response.code(), response.header("Content-Type"), null, response.body().bytes()));
            }
            return null;
        }
        try {
            note(request, fault, response.code());
            synchronized (writing) {
                head(new Answer(200, "application/json", null, null), -1);
                out.flush();
                watch = call;
            }
            if (fault != null && !fault.isDelay()) {
                strike(fault);
            }
            return response;
        } catch (IOException gone) {
            response.close();
            throw gone;
        }
    }

    /** Hands events on, unbuffered, until either side ends the watch or a fault strikes it. The connection is not used again. */
    private void watch(ProxiedRequest request, Response events) throws IOException {
        Thread.ofVirtual().name("end of a watch").start(this::awaitEnd);
        byte[] buffer = new byte[64 * 1024];
        try (events) {
            for (int length = next(request, events, buffer); length != -1; length = next(request, events, buffer)) {
                synchronized (writing) {
                    chunk(Arrays.copyOf(buffer, length));
                }
            }
        }
        synchronized (writing) {
            if (!silent) {
                write("0\r\n\r\n");
                out.flush();
            }
        }
        throw new Over();
    }

    private int next(ProxiedRequest request, Response events, byte[] buffer) throws IOException {
        try {
            return events.body().source().read(buffer);
        } catch (IOException broken) {
            if (watch.isCanceled()) {
                throw new Over();
            }
            return serverDown(request);
        }
    }

    private void chunk(byte[] content) throws IOException {
        if (!silent) {
            write(Integer.toHexString(content.length) + "\r\n");
            out.write(content);
            write("\r\n");
            out.flush();
        }
    }

    /** A client says nothing more during a watch, so what can be read is its end. */
    private void awaitEnd() {
        try {
            in.read();
        } catch (IOException reset) {
            // That is an end, too.
        }
        watch.cancel();
    }

    /** Whether a watch is open here that delivers. */
    boolean isWatch() {
        synchronized (writing) {
            return watch != null && !silent && !watch.isCanceled() && !socket.isClosed();
        }
    }

    /** Does this to the watch that is open here; false if there is none, or if it delivers nothing any more. */
    boolean strike(HttpFault fault) {
        synchronized (writing) {
            if (!isWatch()) {
                return false;
            }
            try {
                switch (fault) {
                    case HttpFault.Silence silence -> silent = true;
                    case HttpFault.Expire expire -> end(EXPIRED + "0\r\n");
                    case HttpFault.Garbage garbage -> end(garbage.body() + "\n");
                    case HttpFault.Truncate truncate -> end(HALF_AN_EVENT);
                    default -> reset();
                }
            } catch (IOException gone) {
                return false;
            }
            return true;
        }
    }

    private void end(String last) throws IOException {
        chunk(last.getBytes(StandardCharsets.UTF_8));
        watch.cancel();
        socket.close();
    }
}
