import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.function.BooleanSupplier;

/**
 * The answer to one watch request: events as lines of JSON, with bookmarks if asked for, until its time is over or its revisions are no
 * longer known (an event ERROR with 410). The server's lock is held while the store is read, and never while something is sent.
 */
final class WatchStream {

    private static final Duration LONGEST = Duration.ofMinutes(30);
    private static final Duration BOOKMARK_PERIOD = Duration.ofMinutes(1);
    /** How long before the end the last bookmark comes. */
    private static final Duration LAST_BOOKMARK = Duration.ofSeconds(2);

    private final Store store;
    private final Lock lock;
    private final Condition changed;
    private final BooleanSupplier stopped;
    private final ApiRequest request;
    private final Store.Selection selection;
    /** What times below are measured from, in {@link System#nanoTime}. */
    private final long started = System.nanoTime();
    private final long end;
    private final boolean bookmarks;
    private long nextBookmark;
    /** The version from which the client asked, or that of the state that it gets first. */
    private long first;
    /** The newest version looked at. */
    private long seen;
    /** Whether the client was told that revisions are missing, after which nothing may follow. */
    private boolean failed;

    /**
     * Checks the request.
     *
     * @param changed signalled after each revision and when {@code stopped} changes
     * @param stopped whether the server ends all watches; called with the lock held
     * @throws Refused if the request is malformed
     */
    WatchStream(Store store, Lock lock, Condition changed, BooleanSupplier stopped, ApiRequest request) {
        this.store = store;
        this.lock = lock;
        this.changed = changed;
        this.stopped = stopped;
        this.request = request;
        selection = request.selection();
        first = request.version();
        seen = first;
        bookmarks = request.query().getOrDefault("allowWatchBookmarks", "").equals("true");
        var timeout = request.query().get("timeoutSeconds");
        end = timeout == null ? LONGEST.toNanos() : Duration.ofSeconds(Long.parseLong(timeout)).toNanos();
        nextBookmark = bookmarks ? bookmarkAfter(0) : end;
    }

    /**
     * Sends events until the watch is over.
     *
     * @throws IOException if the client is gone
     */
    void sendTo(OutputStream out) throws IOException, InterruptedException {
        if (seen == 0) {
            send(out, initialState());
        }
        for (var events = next(); events.isPresent(); events = next()) {
            send(out, events.get());
        }
    }

    private static void send(OutputStream out, List<Map<String, Object>> events) throws IOException {
        var lines = new StringBuilder();
        events.forEach(event -> lines.append(Json.print(event)).append('\n'));
        out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    /** A watch without resourceVersion begins with all that there is. */
    private List<Map<String, Object>> initialState() {
        lock.lock();
        try {
            var listing = store.list(selection);
            seen = listing.resourceVersion();
            first = seen;
            return listing.items().stream().map(object -> event("ADDED", request.shown(object))).toList();
        } finally {
            lock.unlock();
        }
    }

    /** Waits for what is to be sent next; empty when the watch is over. */
    private Optional<List<Map<String, Object>>> next() throws InterruptedException {
        lock.lock();
        try {
            while (!failed && !stopped.getAsBoolean()) {
                var revisions = store.since(seen);
                if (revisions.isEmpty()) {
                    failed = true;
                    return Optional.of(List.of(event("ERROR", store.expired(seen).toStatus())));
                }
                seen = Math.max(seen, store.resourceVersion());
                var events = revisions.get().stream().flatMap(revision -> revision.seenBy(selection).stream())
                        .map(event -> event(event.type().name(), request.shown(event.object()))).toList();
                if (!events.isEmpty()) {
                    return Optional.of(events);
                }
                long now = System.nanoTime() - started;
                if (bookmarks && now >= nextBookmark) {
                    nextBookmark = bookmarkAfter(now);
                    if (seen > first) {
                        return Optional.of(List.of(bookmark()));
                    }
                }
                if (now >= end) {
                    return Optional.empty();
                }
                changed.awaitNanos(Math.min(end, nextBookmark) - now);
            }
            return Optional.empty();
        } finally {
            lock.unlock();
        }
    }

    /** Roughly every minute, and shortly before the end. */
    private long bookmarkAfter(long now) {
        long last = end - LAST_BOOKMARK.toNanos();
        return last > now ? Math.min(last, now + BOOKMARK_PERIOD.toNanos()) : end;
    }

    private Map<String, Object> bookmark() {
        var object = request.shown(Map.of("kind", request.resource().kind, "apiVersion", request.resource().apiVersion,
                "metadata", Map.of("resourceVersion", Long.toString(seen))));
        return event("BOOKMARK", object);
    }

    private static Map<String, Object> event(String type, Map<String, Object> object) {
        return Map.of("type", type, "object", object);
    }
}
