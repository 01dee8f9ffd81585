import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.Map;
import java.util.Objects;

/**
 * The Lease as the API server has it, read from its tree by the invariants themselves; see {@link StoredPod}.
 *
 * @param holder empty if nobody holds it
 * @param seconds the recorded duration, null if there is none; likewise the two times
 * @param claim what our annotation says, if it agrees with the record; else null
 * @param writer the claim that a sidecar wrote with this record, also where a webhook has changed either; null if there is none
 * @param preferred the pod that is to lead; empty if none is named
 */
record StoredLease(long version, String holder, Long seconds, Instant acquireTime, Instant renewTime, long transitions, Claimed claim,
        Claimed writer, String preferred) {

    /** Our annotation: {@code <pod>/<uid>/<acquireTime>/<renewTime>}. */
    record Claimed(String pod, String uid, Instant acquireTime, Instant renewTime) {

        static Claimed parse(Object text) {
            String[] parts = text instanceof String string ? string.split("/", -1) : new String[0];
            try {
                return parts.length == 4 ? new Claimed(parts[0], parts[1], Instant.parse(parts[2]), Instant.parse(parts[3])) : null;
            } catch (DateTimeParseException malformed) {
                return null;
            }
        }

        /** Whether the other, which may be null, comes from the same win, renewed or not. */
        boolean isSameWin(Claimed other) {
            return other != null && pod.equals(other.pod) && uid.equals(other.uid) && acquireTime.equals(other.acquireTime);
        }

        /** Whether the other, which may be null, is a later renewal of the same win. */
        boolean isRenewedBy(Claimed other) {
            return isSameWin(other) && renewTime.isBefore(other.renewTime);
        }

        @Override
        public String toString() {
            return pod + "/" + uid + "/" + acquireTime + "/" + renewTime;
        }
    }

    /** Reads a tree, null for null; {@code written} is {@link SimulatedServer.Sender#claim}. */
    static StoredLease of(Map<String, Object> tree, StoredLease before, Claimed written) {
        if (tree == null) {
            return null;
        }
        Map<String, Object> meta = Json.object(tree, "metadata");
        Map<String, Object> spec = Json.object(tree, "spec");
        String holder = spec.get("holderIdentity") instanceof String text ? text : "";
        Instant acquired = time(spec.get("acquireTime"));
        Instant renewed = time(spec.get("renewTime"));
        Claimed noted = Claimed.parse(Json.object(meta, "annotations").get(SimulatedServer.CLAIM));
        Claimed claim = agrees(noted, holder, acquired, renewed) ? noted : null;
        boolean isSame = before != null && holder.equals(before.holder) && Objects.equals(acquired, before.acquireTime)
                && Objects.equals(renewed, before.renewTime);
        Claimed writer = written != null ? written : claim != null ? claim : isSame ? before.writer : null;
        return new StoredLease(Long.parseLong((String) meta.get("resourceVersion")), holder, (Long) spec.get("leaseDurationSeconds"),
                acquired, renewed, spec.get("leaseTransitions") instanceof Long count ? count : 0, claim, writer,
                (String) Json.object(meta, "annotations").getOrDefault(SimulatedServer.PREFERRED, ""));
    }

    private static boolean agrees(Claimed claim, String holder, Instant acquired, Instant renewed) {
        return claim != null && claim.pod.equals(holder) && claim.acquireTime.equals(acquired) && claim.renewTime.equals(renewed);
    }

    private static Instant time(Object recorded) {
        return recorded == null ? null : Instant.parse((String) recorded);
    }

    boolean isHeld() {
        return !holder.isEmpty();
    }

    /** Whether the record is that of the other, which may be null: holder, times, duration and claim. */
    boolean hasRecordOf(StoredLease other) {
        return other != null && holder.equals(other.holder) && Objects.equals(seconds, other.seconds)
                && Objects.equals(acquireTime, other.acquireTime) && Objects.equals(renewTime, other.renewTime)
                && Objects.equals(claim, other.claim);
    }
}
