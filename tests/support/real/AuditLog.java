import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** What a real API server was asked, by its own audit log: every request, whoever made it. */
final class AuditLog implements AutoCloseable {

    /**
     * One request, as it was answered; a watch twice, when it began and when it ended.
     *
     * @param user who asked, for example {@code system:serviceaccount:NAMESPACE:NAME}; empty if the server gave up before it knew
     * @param resource for example {@code pods} or {@code pods/status}
     * @param name of the object, null where a request has none
     * @param body of the request, empty if it has none or is of no interest here
     */
    record Request(String user, String verb, String namespace, String resource, String name, long code, Instant received,
            Map<String, Object> body) {}

    private final Path folder = Folders.temporary("audit");
    private final Path file = folder.resolve("audit.log");
    private final Path policy = Folders.write(folder, "policy.yaml", """
            apiVersion: audit.k8s.io/v1
            kind: Policy
            omitStages: [RequestReceived]
            rules:
            - level: None
              users: ["system:apiserver"]
            - level: Request
              resources: [{group: "", resources: [pods, events]}, {group: coordination.k8s.io, resources: [leases]}]
            - level: Metadata
            """);

    /** The flags with which kube-apiserver keeps this log. */
    String[] flags() {
        return new String[] {"--audit-log-path=" + file, "--audit-policy-file=" + policy};
    }

    /** The requests of others than the server itself, in the order in which they came, as far as they are answered and logged. */
    List<Request> requests() {
        try {
            // The last line may be unfinished.
            String complete = Files.readString(file);
            return complete.substring(0, complete.lastIndexOf('\n') + 1).lines().map(AuditLog::request)
                    .sorted(Comparator.comparing(Request::received)).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Request request(String line) {
        Map<String, Object> event = Json.parse(line);
        String subresource = Json.text(event, "objectRef", "subresource");
        return new Request(Objects.requireNonNullElse(Json.text(event, "user", "username"), ""), Json.text(event, "verb"),
                Json.text(event, "objectRef", "namespace"),
                Json.text(event, "objectRef", "resource") + (subresource == null ? "" : "/" + subresource),
                Json.text(event, "objectRef", "name"), Json.at(event, "responseStatus", "code") instanceof Long code ? code : 0,
                Instant.parse(Json.text(event, "requestReceivedTimestamp")), Json.object(event, "requestObject"));
    }

    @Override
    public void close() {
        Folders.delete(folder);
    }
}
