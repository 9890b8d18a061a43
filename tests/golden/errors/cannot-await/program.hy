(import klorpy [simulate-chor])
(defn fetch [url] url)
(defchor get-page [A B] (-> A B) [url]
  (A->B (A (await (fetch url)))))
(simulate-chor get-page "http://example.org")
