/** Steps in the life of a leader, and what else is asked of an API server. */
enum RequestPhase {
    /** PUT of the Lease with this pod as the holder, by a win that is not yet known to have succeeded. */
    ACQUIRE,
    /** PUT of the Lease by a win that succeeded. */
    RENEW,
    /** PUT of the Lease with nobody as the holder. */
    RELEASE,
    /** POST of the Lease. */
    CREATE,
    /** PATCH of another pod. */
    FENCE,
    /** PATCH of the own pod to {@code true}. */
    PROMOTE,
    /** PATCH of the own pod to {@code false} by a leader that leaves. */
    SELF_FENCE,
    /** Any other PATCH of the own pod. */
    FIRST_PATCH,
    /** GET of the Lease or of a pod. */
    GET,
    /** LIST of pods or of the Lease. */
    LIST,
    /** Watch of pods or of the Lease. */
    WATCH,
    /** Reviews of permissions, and Kubernetes Events. */
    OTHER
}
