(import klorpy [simulate-chor])
(defn price-of [title]
  (raise (LookupError f"no price for {title}")))
(defchor buy [Buyer Seller] (-> Buyer Buyer) [title]
  (let [price (Seller->Buyer (Seller (price-of (Buyer->Seller title))))]
    (Buyer (< price 50))))
(simulate-chor buy "Dune")
