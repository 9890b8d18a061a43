"A client logs in at an authenticator and gets a token from a service, which never sees the password.

`or` and `and` are choices like `if`: what comes later happens only if both roles know that it does."

(require klorpy *)
(import hmac)

(defn account [accounts credentials]
  "The name in the credentials if the password is right, else None."
  (let [[name password] credentials
        expected (.get accounts name)]
    (when (and expected (hmac.compare-digest expected password))
      name)))

(defn signed [secret name]
  (.hexdigest (hmac.new (.encode secret) (.encode name) "sha256")))

(defchor log-in [C A] (-> C A #{C A}) [attempts accounts]
  "The name of the account, at both, as soon as one of the client's attempts, at least one, is right; else False."
  (or (A=>C (A (account accounts (C->A (C (get attempts 0))))))
      (and (C=>A (C (> (len attempts) 1)))
           (recur (C (cut attempts 1 None)) accounts))))

(defchor get-token [C S A] (-> C S A C) [attempts secret accounts]
  "A token that the service has signed, or None."
  (let [name (A=>S (log-in [C A] attempts accounts))]
    (if name
      (S->C (S (signed secret name)))
      (C None))))
