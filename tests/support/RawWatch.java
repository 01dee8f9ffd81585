import com.google.gson.JsonParseException;
import io.kubernetes.client.openapi.ApiClient;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import okhttp3.Call;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import okio.BufferedSource;

/**
 * One watch, as bytes off the wire: every event from a noted resourceVersion on, with nothing merged, cached or listed anew. When the
 * connection breaks it goes on from the last version that it saw; where that is not possible there is a gap, which {@link #gap} tells.
 */
final class RawWatch implements AutoCloseable {

    private static final Set<Integer> SERVER_IS_STARTING = Set.of(403, 429, 500, 503);

    private final OkHttpClient http;
    private final String url;
    private final BiConsumer<String, Map<String, Object>> sink;
    private final Thread thread;
    private volatile String version;
    private volatile String gap;
    private volatile Call call;
    private volatile boolean closed;

    /**
     * Begins to watch.
     *
     * @param path of the collection, for example {@code /api/v1/namespaces/x/pods}
     * @param version the resourceVersion after which everything is wanted
     * @param sink gets type (ADDED, MODIFIED, DELETED) and object of each event, on a thread of its own
     */
    RawWatch(ApiClient client, String path, String version, BiConsumer<String, Map<String, Object>> sink) {
        this.http = client.getHttpClient().newBuilder().readTimeout(Duration.ZERO).callTimeout(Duration.ZERO).build();
        this.url = client.getBasePath() + path + "?watch=1&allowWatchBookmarks=true&resourceVersion=";
        this.version = version;
        this.sink = sink;
        this.thread = Thread.ofVirtual().name("watch of " + path).start(this::run);
    }

    /** What was missed, or what the watch stumbled over; empty if nothing was. */
    Optional<String> gap() {
        return Optional.ofNullable(gap);
    }

    /** The last version that was seen. */
    String version() {
        return version;
    }

    @Override
    public void close() {
        closed = true;
        thread.interrupt();
        if (call != null) {
            call.cancel();
        }
        http.connectionPool().evictAll();
    }

    private void run() {
        while (!closed && gap == null) {
            call = http.newCall(new Request.Builder().url(url + version).build());
            try (Response response = call.execute()) {
                if (response.isSuccessful()) {
                    read(response.body().source());
                } else if (!SERVER_IS_STARTING.contains(response.code())) {
                    gap = "the watch from version " + version + " was refused: HTTP " + response.code() + " " + response.body().string();
                }
                TimeUnit.MILLISECONDS.sleep(10);
            } catch (IOException broken) {
                pauseAfter(broken);
            } catch (InterruptedException closing) {
                return;
            } catch (RuntimeException e) {
                gap = "the watch from version " + version + " failed: " + e;
            }
        }
    }

    private void pauseAfter(IOException broken) {
        try {
            TimeUnit.MILLISECONDS.sleep(20);
        } catch (InterruptedException closing) {
            closed = true;
        }
    }

    /** A line that is cut off by a broken connection was not received: the next watch brings it again. */
    private void read(BufferedSource lines) throws IOException {
        for (String line = lines.readUtf8Line(); line != null; line = lines.readUtf8Line()) {
            Map<String, Object> event;
            try {
                event = Json.parse(line);
            } catch (JsonParseException cutOff) {
                return;
            }
            String type = Json.text(event, "type");
            Map<String, Object> object = Json.object(event, "object");
            if (type.equals("ERROR")) {
                if (Json.at(object, "code") instanceof Long code && code == 410) {
                    gap = "the watch from version " + version + " has a gap: " + line;
                }
                return;
            }
            if (!type.equals("BOOKMARK")) {
                sink.accept(type, object);
            }
            version = Json.text(object, "metadata", "resourceVersion");
        }
    }
}
