import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import okhttp3.HttpUrl;
import okhttp3.Request;
import okio.Buffer;

/**
 * What the in-process sidecars of a group asked the API server, in the order in which they asked. Whatever one request is the consequence
 * of, by its answer or by an event of a watch, was sent before it.
 */
final class Trace {

    /** One request. Its text says who sent it and what it asks for: {@code web-1: PATCH pod web-0 false}. */
    static final class Entry {
        final String pod;
        /** {@code GET lease}, {@code PUT lease holder=web-1}, {@code LIST pods}, {@code PATCH pod web-0 true}, {@code POST event}. */
        final String what;
        /** When it was sent, by {@link System#nanoTime}. */
        final long sentAt;
        /** Its place among all sendings and answers. */
        final long sent;
        /** The same of its answer; {@link Long#MAX_VALUE} while there is none. */
        volatile long answered = Long.MAX_VALUE;
        /** HTTP status of the answer, 0 without one. */
        volatile int status;

        private Entry(String pod, String what, long sent) {
            this.pod = pod;
            this.what = what;
            this.sent = sent;
            this.sentAt = System.nanoTime();
        }

        boolean is(String start) {
            return what.startsWith(start);
        }

        @Override
        public String toString() {
            return pod + ": " + what;
        }
    }

    private final String leadershipLabel;
    private final List<Entry> entries = new ArrayList<>();
    private long order;

    /** Empty. The key is that of the label whose value is shown of pod writes. */
    Trace(String leadershipLabel) {
        this.leadershipLabel = leadershipLabel;
    }

    /** Notes that the sidecar of a pod sends a request. */
    Entry send(String pod, Request request) throws IOException {
        String what = describe(request);
        synchronized (this) {
            Entry entry = new Entry(pod, what, ++order);
            entries.add(entry);
            return entry;
        }
    }

    /** Notes that it was answered, before the sidecar sees that. */
    synchronized void answer(Entry entry, int status) {
        entry.status = status;
        entry.answered = ++order;
    }

    private String describe(Request request) throws IOException {
        HttpUrl url = request.url();
        List<String> path = url.pathSegments();
        int at = path.indexOf("namespaces") + 2;
        String resource = at > 1 && path.size() > at ? path.get(at) : path.getLast();
        String name = at > 1 && path.size() > at + 1 ? path.get(at + 1) : null;
        if (request.method().equals("GET") && name == null) {
            return (url.queryParameter("watch") != null ? "WATCH " : "LIST ") + resource;
        }
        String object = resource.replaceFirst("s$", "");
        return switch (object) {
            case "lease" -> request.method() + " lease" + (request.body() == null ? "" : " holder=" + holder(tree(request)));
            case "pod" -> request.method() + " pod " + name + (request.body() == null ? "" : " " + label(tree(request)));
            default -> request.method() + " " + object;
        };
    }

    private static Map<String, Object> tree(Request request) throws IOException {
        Buffer body = new Buffer();
        request.body().writeTo(body);
        return Json.parse(body.readUtf8());
    }

    private static String holder(Map<String, Object> lease) {
        String holder = Json.text(lease, "spec", "holderIdentity");
        return holder == null ? "" : holder;
    }

    private String label(Map<String, Object> patch) {
        String value = Json.text(patch, "metadata", "labels", leadershipLabel);
        return value == null ? "(no label)" : value;
    }

    // --- What was asked ----------------------------------------------------------------------------------------------

    /** A place in the trace: what comes later is "since" it. */
    synchronized long now() {
        return order;
    }

    /** All requests after a place. */
    synchronized List<Entry> allSince(long place) {
        return entries.stream().filter(entry -> entry.sent > place).toList();
    }

    /** Requests after a place that are for pods and the Lease, watches and their lists of Leases excepted. */
    List<Entry> since(long place) {
        return allSince(place).stream().filter(entry -> entry.what.matches(".* (pods?|lease)( .*)?") && !entry.is("WATCH")).toList();
    }

    /** The same as text, of those that match. */
    List<String> textSince(long place, Predicate<Entry> which) {
        return since(place).stream().filter(which).map(Entry::toString).toList();
    }

    /** What these pods asked for after a place, but for looks at the Lease, which a leader that is late on a busy machine provokes. */
    List<String> askedBy(Collection<String> pods, long place) {
        return textSince(place, entry -> pods.contains(entry.pod)).stream().filter(text -> !text.endsWith(": GET lease")).toList();
    }

    /** The first request after a place whose text is this. */
    Entry first(long place, String text) {
        return allSince(place).stream().filter(entry -> entry.toString().equals(text)).findFirst()
                .orElseThrow(() -> new AssertionError("no \"" + text + "\" among " + allSince(place)));
    }

    /** All that was asked, one line per request, for people. */
    synchronized String history() {
        StringBuilder lines = new StringBuilder();
        long origin = entries.isEmpty() ? 0 : entries.getFirst().sentAt;
        entries.forEach(entry -> lines.append("%,9.1f ms  %s -> %s%n".formatted((entry.sentAt - origin) / 1e6, entry, entry.status)));
        return lines.toString();
    }
}
