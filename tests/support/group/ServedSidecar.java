import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * A sidecar process that serves HTTP and writes a role file.
 *
 * @param pod      name of its pod
 * @param endpoint where it serves state, probes and metrics
 * @param roleFile which it replaces at every change; there is nothing else in its folder
 */
record ServedSidecar(String pod, SidecarProcess process, Endpoint endpoint, Path roleFile) {

    /** What {@code GET /} shows. */
    Map<String, Object> state() {
        return Json.parse(endpoint.get("/").body());
    }

    /** What {@code GET /metrics} shows; fails if a Prometheus server could not read it. */
    PrometheusText metrics() {
        return PrometheusText.parse(endpoint.get("/metrics").body());
    }

    /** What the role file says; null while there is none. */
    String role() {
        try {
            return Files.exists(roleFile) ? Files.readString(roleFile) : null;
        } catch (IOException e) {
            throw new AssertionError(roleFile.toString(), e);
        }
    }

    /** Whether the role file says that this pod leads. */
    boolean saysItLeads() {
        String role = role();
        return role != null && Boolean.TRUE.equals(Json.parse(role).get("leader"));
    }
}
