(import klorpy [simulate-chor])
(defn price-of [title]
  (print "looking for" title)
  (raise (LookupError f"no price for {title}")))
(defchor buy [Buyer Seller Bank] (-> Buyer Buyer) [title]
  (let [price (Seller->Buyer (Seller (price-of (Buyer->Seller title))))]
    (Bank (print (Buyer->Bank price)))
    price))
(setv failed (simulate-chor buy "Dune" :check False :sanitize False))
